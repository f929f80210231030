-- SixOrbit framework tables for MySQL 8 / MariaDB 10.6 and newer.
--
-- Source this by hand (`mysql so < framework_tables.mysql.sql`) or run `sixorbit db:install`,
-- any number of times: nothing that exists is touched. The twin for SQLite is
-- framework_tables.sqlite.sql: same tables, same columns, same order, same comments.
--
-- The columns of the original framework come first and keep their names and meanings. What stands
-- after a line `-- added:` is ours, and has a default: rows written by hand with the original's
-- columns alone are valid.
--
-- Text is told apart to the last character, its case, accents and blanks at the end included, as
-- SQLite does. The collation for that has another name on MariaDB and on MySQL, so each of them
-- reads one of the two comments behind a table. Free text that people search is without case.

-- == migrations: which files of database/migrations have been applied ===========================

create table if not exists migrations (
    id bigint unsigned not null auto_increment,
    migration varchar(255) not null,               -- file name without its ending
    batch int not null,                            -- files applied together are rolled back together
    -- added:
    applied_at datetime(6) null default null,      -- UTC
    primary key (id),
    unique key migrations_migration_unique (migration)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- == activity log: who changed what, and when ===================================================

create table if not exists activity_log (
    id bigint unsigned not null auto_increment,
    log_name varchar(255) null default null,
    description text collate utf8mb4_unicode_ci not null,
    subject_type varchar(255) null default null,
    subject_id varchar(64) null default null,
    causer_type varchar(255) null default null,
    causer_id varchar(64) null default null,
    properties longtext collate utf8mb4_unicode_ci null default null, -- JSON
    event varchar(255) null default null,
    batch_uuid varchar(36) null default null,
    created_at datetime(6) null default null,      -- UTC
    updated_at datetime(6) null default null,      -- UTC
    -- added:
    uid varchar(32) null default null,             -- made by the application, never used twice
    subject_label varchar(191) collate utf8mb4_unicode_ci null default null, -- outlives the subject
    causer_label varchar(191) collate utf8mb4_unicode_ci null default null, -- outlives the causer
    context longtext collate utf8mb4_unicode_ci null default null, -- JSON: request, job or command it came from
    salt varchar(32) null default null,            -- makes the digest of the content unguessable; null once erased
    row_mac varchar(64) null default null,         -- HMAC over the other columns but id and seal_no
    key_id varchar(16) null default null,          -- which key row_mac was made with
    seal_no bigint unsigned null default null,     -- the seal the row belongs to; 0: refused by the sealer
    primary key (id),
    unique key activity_log_uid_unique (uid),
    key activity_log_subject_index (subject_type, subject_id, id),
    key activity_log_causer_index (causer_type, causer_id, id),
    key activity_log_log_name_index (log_name, id),
    key activity_log_batch_uuid_index (batch_uuid),
    key activity_log_created_at_index (created_at),
    key activity_log_seal_no_index (seal_no, id)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists activity_seals (
    seal_no bigint unsigned not null,              -- 1, 2, 3 … without a gap
    first_id bigint unsigned null default null,    -- of its rows; null in a seal of none
    last_id bigint unsigned null default null,
    row_count int unsigned not null,
    merkle_root varchar(64) not null,              -- over the leaves of its rows, by id
    prev_hash varchar(64) not null,                -- seal_hash of the seal before
    seal_hash varchar(64) not null,                -- SHA-256 over the columns above and key_id to sealed_by
    seal_mac varchar(64) not null,                 -- HMAC over seal_hash
    key_id varchar(16) not null,
    sealed_at varchar(26) not null,                -- UTC
    sealed_by varchar(64) not null,                -- host:process
    pruned_at varchar(26) null default null,       -- UTC, when the last of its rows was pruned
    prune_uid varchar(32) null default null,       -- the certificate in activity_log
    prune_mac varchar(64) null default null,       -- HMAC over this pruning
    primary key (seal_no)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists activity_tombstones (
    activity_id bigint unsigned not null,          -- of the row that was pruned
    seal_no bigint unsigned not null,
    leaf_hash varchar(64) not null,                -- stands for the row in its seal
    cert_uid varchar(32) not null,                 -- the certificate in activity_log
    mac varchar(64) not null,                      -- HMAC over the columns above
    primary key (activity_id),
    key activity_tombstones_seal_no_index (seal_no, activity_id)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists activity_erasures (
    activity_id bigint unsigned not null,          -- of the row whose personal values were erased
    content_hash varchar(64) not null,             -- digest of the content that was there
    cert_uid varchar(32) not null,                 -- the certificate in activity_log
    mac varchar(64) not null,                      -- HMAC over the columns above and the content now
    primary key (activity_id)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- == queue: jobs waiting and running, failed jobs, batches ======================================

create table if not exists jobs (
    id bigint unsigned not null auto_increment,
    queue varchar(64) not null,
    payload longtext collate utf8mb4_unicode_ci not null, -- JSON
    attempts smallint unsigned not null default 0, -- how often it was started
    reserved_at int unsigned null default null,    -- unix seconds
    available_at int unsigned not null,            -- unix seconds; while reserved, the end of the lease
    created_at int unsigned not null,              -- unix seconds
    -- added:
    uuid varchar(64) null default null,
    worker_id varchar(64) null default null,       -- which claim holds the reservation
    crashes smallint unsigned not null default 0,  -- starts that ended with the death of the worker
    exceptions smallint unsigned not null default 0, -- starts that ended with an exception
    lock_key varchar(120) null default null,       -- the unique lock that this job owns
    batch_id varchar(64) null default null,
    cancelled_at int unsigned null default null,   -- unix seconds
    primary key (id),
    key jobs_due_index (queue, available_at, id)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists failed_jobs (
    id bigint unsigned not null auto_increment,
    uuid varchar(64) not null,
    connection text not null,
    queue text not null,
    payload longtext collate utf8mb4_unicode_ci not null, -- JSON
    exception longtext collate utf8mb4_unicode_ci not null,
    failed_at datetime(6) not null default current_timestamp(6), -- UTC
    -- added:
    job varchar(255) not null default '',          -- the name shown to people
    fingerprint varchar(16) not null default '',   -- class, exception and place of the failure
    attempts smallint unsigned not null default 0,
    batch_id varchar(64) null default null,
    lock_key varchar(120) null default null,       -- the unique lock a retry has to take again
    primary key (id),
    unique key failed_jobs_uuid_unique (uuid),
    key failed_jobs_fingerprint_index (fingerprint),
    key failed_jobs_failed_at_index (failed_at)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists job_batches (
    id varchar(64) not null,
    name varchar(255) not null,
    total_jobs int not null,
    pending_jobs int not null,                     -- not yet succeeded
    failed_jobs int not null,
    failed_job_ids longtext not null,              -- JSON; kept empty, see job_batch_failures
    options mediumtext null default null,          -- JSON
    cancelled_at int unsigned null default null,   -- unix seconds
    created_at int unsigned not null,              -- unix seconds
    finished_at int unsigned null default null,    -- unix seconds
    primary key (id),
    key job_batches_created_at_index (created_at)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists job_batch_failures (
    batch_id varchar(64) not null,
    job_uuid varchar(64) not null,
    primary key (batch_id, job_uuid)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists job_progress (
    uuid varchar(64) not null,                     -- of the job
    job_id bigint unsigned not null,
    job varchar(255) not null,                     -- the name shown to people
    state varchar(16) not null,                    -- running, done, failed or cancelled
    done bigint not null default 0,
    total bigint null default null,
    message varchar(255) collate utf8mb4_unicode_ci null default null,
    position bigint not null default 0,            -- items a resumable loop has behind it
    started_at int unsigned not null,              -- unix seconds
    updated_at int unsigned not null,              -- unix seconds
    primary key (uuid),
    key job_progress_job_id_index (job_id),
    key job_progress_updated_at_index (updated_at)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists queue_locks (
    name varchar(120) not null,
    kind varchar(16) not null,                     -- unique, overlap, limit or throttle
    owner varchar(120) not null,
    amount bigint not null default 0,              -- hits in the window of a limit
    expires_at int unsigned null default null,     -- unix seconds; never when null
    primary key (name)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists queue_workers (
    id varchar(64) not null,
    host varchar(255) not null,
    pid int not null,
    queues varchar(255) not null,
    processes int not null,
    state varchar(16) not null,                    -- running, paused or stopping
    generation int not null default 0,             -- the restart request it has obeyed
    done bigint not null default 0,
    failed bigint not null default 0,
    started_at int unsigned not null,              -- unix seconds
    beat_at int unsigned not null,                 -- unix seconds
    current text collate utf8mb4_unicode_ci null default null, -- JSON: the jobs under way
    memory_mb int null default null,               -- of all its processes
    primary key (id)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists queue_control (
    name varchar(96) not null,                     -- restart, or pause:<queue>
    amount bigint not null default 0,              -- a generation, or unix seconds of the end
    updated_at int unsigned not null,              -- unix seconds
    primary key (name)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists queue_metrics (
    queue varchar(64) not null,
    minute int not null,                           -- unix seconds / 60; 0 counts since the beginning
    name varchar(64) not null,
    amount bigint not null default 0,
    primary key (queue, minute, name)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists queue_schedule_runs (
    task varchar(120) not null,
    run_at int unsigned not null,                  -- unix seconds of the due time
    host varchar(255) not null,
    started_at int unsigned not null,              -- unix seconds
    primary key (task, run_at)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added: how each task ended last, a row each
create table if not exists queue_schedule_results (
    task varchar(120) not null,
    run_at bigint not null,                        -- unix seconds of the due time
    started_at bigint not null,                    -- unix seconds
    outcome varchar(16) not null,                  -- running, done, queued or failed
    ms bigint null default null,
    failed_at bigint null default null,            -- unix seconds of the last failure
    output text null default null,                 -- the end of what that failure said
    primary key (task)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- == notifications ==============================================================================

create table if not exists notifications (
    id varchar(36) not null,
    type varchar(255) not null,
    notifiable_type varchar(255) not null,
    notifiable_id varchar(64) not null,
    data longtext collate utf8mb4_unicode_ci not null, -- JSON
    read_at datetime(6) null default null,         -- UTC
    created_at datetime(6) null default null,      -- UTC
    updated_at datetime(6) null default null,      -- UTC
    -- added:
    category varchar(64) null default null,        -- what people mute
    subject_type varchar(100) null default null,   -- what it is about
    subject_id varchar(64) null default null,
    dedupe_key varchar(100) null default null,     -- one row a class, recipient and key: its id is made of them
    primary key (id),
    key notifications_inbox_index (notifiable_type, notifiable_id, created_at, id),
    key notifications_unread_page_index (notifiable_type, notifiable_id, read_at, created_at, id),
    key notifications_subject_index (subject_type, subject_id),
    key notifications_read_at_index (read_at),
    key notifications_created_at_index (created_at)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- dropped: notifications_dedupe_unique on notifications

-- added:
create table if not exists notification_deliveries (
    notification_id varchar(36) not null,
    channel varchar(64) not null,
    status varchar(16) not null default 'sent',    -- wanted, held, sent, muted, refused, failed
    sent_at datetime(6) null default null,         -- UTC; of the status
    reason varchar(500) null default null,         -- of the status
    type varchar(255) null default null,           -- class of the notification
    notifiable_type varchar(255) null default null, -- recipient; null for an address
    notifiable_id varchar(64) null default null,
    payload longtext null default null,            -- typed JSON; of what is held, or failed and may be sent again
    due_at datetime(6) null default null,          -- UTC; when what is held goes out, or may be tried again
    primary key (notification_id, channel),
    key notification_deliveries_sent_at_index (sent_at),
    key notification_deliveries_due_index (status, due_at)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added:
create table if not exists notification_mutes (
    notifiable_type varchar(100) not null,
    notifiable_id varchar(64) not null,
    category varchar(64) not null,
    channel varchar(64) not null default '*',      -- * is every channel
    primary key (notifiable_type, notifiable_id, category, channel)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- == cache and locks ============================================================================

create table if not exists cache (
    `key` varbinary(255) not null,
    value longtext not null,                       -- typed JSON; an integer as bare digits
    expiration bigint not null,                    -- unix seconds
    -- added:
    fresh_until bigint null default null,          -- unix seconds; usable but stale after that
    created_at bigint not null default 0,          -- unix seconds; 0 unless the oldest are to go first
    bytes bigint not null default 0,               -- of the whole row, likewise
    data longblob null default null,               -- bytes instead of value: their first says what they are
    tags varchar(1000) not null default '',        -- versions of its tags when it was made
    primary key (`key`),
    key cache_expiration (expiration),
    key cache_created_at (created_at, bytes)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

create table if not exists cache_locks (
    `key` varbinary(255) not null,
    owner varchar(255) not null,
    expiration bigint not null,                    -- unix seconds; a freed lock keeps its row
    -- added:
    token bigint not null default 0,               -- fencing number, grows with each holder
    primary key (`key`),
    key cache_locks_expiration (expiration)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added:
create table if not exists rate_limits (
    `key` varbinary(255) not null,
    hits bigint not null default 0,                -- in the running window
    expiration bigint not null,                    -- unix seconds; the window's end
    reserved bigint not null default 0,            -- attempts under way that may come to count
    primary key (`key`),
    key rate_limits_expiration (expiration)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- == sessions ===================================================================================

create table if not exists sessions (
    id varchar(255) not null,                      -- SHA-256 of the cookie's secret
    user_id varchar(64) null default null,         -- key of the user who is logged in
    ip_address varchar(45) null default null,
    user_agent text collate utf8mb4_unicode_ci null default null,
    payload longtext collate utf8mb4_unicode_ci not null, -- typed JSON
    last_activity bigint not null,                 -- unix seconds
    -- added:
    version bigint not null default 0,             -- grows with each save of the payload
    created_at bigint not null default 0,          -- unix seconds, when the password was given
    mac varchar(64) null default null,             -- HMAC over id, version, created_at, payload
    remember_series varchar(64) null default null, -- the remember-me cookie this row stands for
    remembered_until bigint not null default 0,    -- unix seconds; the row is kept until then
    primary key (id),
    key sessions_user_id_index (user_id),
    key sessions_last_activity_index (last_activity),
    key sessions_remembered_until_index (remembered_until, last_activity)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added: where a session went whose id was changed, for requests that were under way
create table if not exists session_moves (
    old_id varchar(64) not null,
    new_id varchar(64) not null,
    readable_until bigint not null default 0,      -- unix seconds; 0: the old id is dead at once
    created_at bigint not null default 0,          -- unix seconds
    primary key (old_id),
    key session_moves_created_at_index (created_at)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added: remember-me cookies, one series for each device
create table if not exists remember_tokens (
    id bigint unsigned not null auto_increment,
    series varchar(32) not null,                   -- first half of the cookie
    user_id varchar(64) not null,
    validator varchar(64) not null,                -- SHA-256 of the second half
    previous_validator varchar(64) null default null, -- accepted for some seconds after a change
    changed_at bigint not null default 0,          -- unix seconds of the last change
    password_mark varchar(64) null default null,   -- another password ends the series
    created_at bigint not null,                    -- unix seconds, when the password was given
    expires_at bigint not null,                    -- unix seconds
    primary key (id),
    unique key remember_tokens_series_unique (series),
    key remember_tokens_user_id_index (user_id),
    key remember_tokens_expires_at_index (expires_at)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- == personal access tokens =====================================================================

create table if not exists personal_access_tokens (
    id bigint unsigned not null auto_increment,
    tokenable_type varchar(255) not null,
    tokenable_id varchar(64) not null,
    name varchar(255) not null,
    token varchar(64) not null,                    -- SHA-256 of the secret
    abilities text null default null,              -- JSON
    last_used_at datetime(6) null default null,    -- UTC
    expires_at datetime(6) null default null,      -- UTC
    created_at datetime(6) null default null,      -- UTC
    updated_at datetime(6) null default null,      -- UTC
    -- added:
    password_mark varchar(64) null default null,   -- another password of the owner ends the token
    primary key (id),
    unique key personal_access_tokens_token_unique (token),
    key personal_access_tokens_tokenable_index (tokenable_type, tokenable_id),
    key personal_access_tokens_expires_at_index (expires_at)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- == accounts ===================================================================================
-- user_id: the key of the user; of another model than the application's own, `type:key`.

-- added: what is known of a login beside the application's own columns
create table if not exists user_security (
    user_id varbinary(100) not null,
    verified_email varchar(255) null default null, -- the address that was confirmed
    verified_at datetime(6) null default null,     -- UTC
    locked_at datetime(6) null default null,       -- UTC; null: not locked
    locked_until datetime(6) null default null,    -- UTC; null: until somebody unlocks
    lock_reason text null default null,
    two_factor_secret text null default null,      -- sealed, see docs/authentication.md
    two_factor_on_at datetime(6) null default null, -- UTC; null: off, or still being set up
    two_factor_step bigint not null default 0,     -- the last time step whose code was used
    password_changed_at datetime(6) null default null, -- UTC
    primary key (user_id)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added: beside the sessions, so that no import in the application's file holds a login up
create table if not exists last_logins (
    user_id varbinary(100) not null,
    at bigint not null,                            -- unix seconds
    primary key (user_id)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci;

-- added: codes that stand in for the second factor, each once
create table if not exists recovery_codes (
    id bigint unsigned not null auto_increment,
    user_id varbinary(100) not null,
    code varchar(64) not null,                     -- SHA-256
    primary key (id),
    unique key recovery_codes_code_unique (user_id, code)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added: links by which a forgotten password is replaced, each once
create table if not exists password_resets (
    token varchar(64) not null,                    -- SHA-256 of what the link holds
    user_id varbinary(100) not null,
    password_mark varchar(64) not null,            -- another password ends the link
    expires_at bigint not null,                    -- unix seconds
    primary key (token),
    key password_resets_user_id_index (user_id),
    key password_resets_expires_at_index (expires_at)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added: hashes of earlier passwords, so that they do not come again
create table if not exists password_history (
    id bigint unsigned not null auto_increment,
    user_id varbinary(100) not null,
    password varchar(255) not null,
    created_at datetime(6) null default null,      -- UTC
    primary key (id),
    key password_history_user_id_index (user_id, id)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- == roles and permissions ======================================================================

-- added:
create table if not exists roles (
    id bigint unsigned not null auto_increment,
    name varchar(150) not null,
    two_factor int not null default 0,             -- 1: its users need a second factor
    created_at datetime(6) null default null,      -- UTC
    updated_at datetime(6) null default null,      -- UTC
    primary key (id),
    unique key roles_name_unique (name)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added:
create table if not exists permissions (
    id bigint unsigned not null auto_increment,
    name varchar(150) not null,                    -- an ability; orders.* is all of orders
    created_at datetime(6) null default null,      -- UTC
    updated_at datetime(6) null default null,      -- UTC
    primary key (id),
    unique key permissions_name_unique (name)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added:
create table if not exists role_user (
    role_id bigint unsigned not null,
    user_id varbinary(100) not null,
    primary key (role_id, user_id),
    key role_user_user_id_index (user_id)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added:
create table if not exists permission_role (
    permission_id bigint unsigned not null,
    role_id bigint unsigned not null,
    primary key (permission_id, role_id),
    key permission_role_role_id_index (role_id)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- == console: the last day's figures, and slow and failing requests =============================

-- added:
create table if not exists console_history (
    minute bigint not null,                        -- unix seconds / 60
    figures text not null,                         -- JSON: counters as they stood
    primary key (minute)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added:
create table if not exists console_counters (
    name varchar(64) not null,
    amount bigint not null default 0,              -- since the beginning
    primary key (name)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added: slow statements, without their values
create table if not exists console_statements (
    id bigint unsigned not null auto_increment,
    at bigint not null,                            -- unix seconds
    ms bigint not null,
    statement varchar(1000) not null,
    source varchar(255) not null,                  -- a route, or what kind of work it was
    request_id varchar(64) not null,
    primary key (id)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added: sizes of tables, a row a day
create table if not exists console_sizes (
    day bigint not null,                           -- unix seconds / 86400
    sizes mediumtext not null,                     -- JSON: rows and bytes by table
    primary key (day)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;

-- added:
create table if not exists console_requests (
    id bigint unsigned not null auto_increment,
    at bigint not null,                            -- unix seconds
    method varchar(16) not null,
    route varchar(255) null default null,          -- its pattern: paths may hold secrets
    status int not null,
    ms bigint not null,
    statements int null default null,              -- where they were counted
    user_id varchar(64) null default null,
    request_id varchar(64) not null,
    exception varchar(500) null default null,
    primary key (id)
) engine=InnoDB default charset=utf8mb4 /*M! collate=utf8mb4_nopad_bin */ /*!80017 collate=utf8mb4_0900_bin */;
