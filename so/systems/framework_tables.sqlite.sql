-- SixOrbit framework tables for SQLite 3.35 and newer.
--
-- Source this by hand (`sqlite3 so.db < framework_tables.sqlite.sql`) or run `sixorbit db:install`,
-- any number of times: nothing that exists is touched. The twin for MySQL and MariaDB is
-- framework_tables.mysql.sql: same tables, same columns, same order, same comments.
--
-- The columns of the original framework come first and keep their names and meanings. What stands
-- after a line `-- added:` is ours, and has a default: rows written by hand with the original's
-- columns alone are valid.

-- == migrations: which files of database/migrations have been applied ===========================

create table if not exists migrations (
    id integer not null primary key autoincrement,
    migration varchar(255) not null,               -- file name without its ending
    batch integer not null,                        -- files applied together are rolled back together
    -- added:
    applied_at datetime null default null          -- UTC
);
create unique index if not exists migrations_migration_unique on migrations (migration);

-- == activity log: who changed what, and when ===================================================

create table if not exists activity_log (
    id integer not null primary key autoincrement,
    log_name varchar(255) null default null,
    description text not null,
    subject_type varchar(255) null default null,
    subject_id varchar(64) null default null,
    causer_type varchar(255) null default null,
    causer_id varchar(64) null default null,
    properties text null default null,             -- JSON
    event varchar(255) null default null,
    batch_uuid char(36) null default null,
    created_at datetime null default null,         -- UTC
    updated_at datetime null default null,         -- UTC
    -- added:
    uid char(32) null default null,                -- made by the application, never used twice
    subject_label varchar(191) null default null,  -- outlives the subject
    causer_label varchar(191) null default null,   -- outlives the causer
    context text null default null,                -- JSON: request, job or command it came from
    salt char(32) null default null,               -- makes the digest of the content unguessable; null once erased
    row_mac char(64) null default null,            -- HMAC over the other columns but id and seal_no
    key_id char(16) null default null,             -- which key row_mac was made with
    seal_no integer null default null              -- the seal the row belongs to; 0: refused by the sealer
);
create unique index if not exists activity_log_uid_unique on activity_log (uid);
create index if not exists activity_log_subject_index on activity_log (subject_type, subject_id, id);
create index if not exists activity_log_causer_index on activity_log (causer_type, causer_id, id);
create index if not exists activity_log_log_name_index on activity_log (log_name, id);
create index if not exists activity_log_batch_uuid_index on activity_log (batch_uuid);
create index if not exists activity_log_created_at_index on activity_log (created_at);
create index if not exists activity_log_seal_no_index on activity_log (seal_no, id);

create table if not exists activity_seals (
    seal_no integer not null primary key,          -- 1, 2, 3 … without a gap
    first_id integer null default null,            -- of its rows; null in a seal of none
    last_id integer null default null,
    row_count integer not null,
    merkle_root char(64) not null,                 -- over the leaves of its rows, by id
    prev_hash char(64) not null,                   -- seal_hash of the seal before
    seal_hash char(64) not null,                   -- SHA-256 over the columns above and key_id to sealed_by
    seal_mac char(64) not null,                    -- HMAC over seal_hash
    key_id char(16) not null,
    sealed_at char(26) not null,                   -- UTC
    sealed_by varchar(64) not null,                -- host:process
    pruned_at char(26) null default null,          -- UTC, when the last of its rows was pruned
    prune_uid char(32) null default null,          -- the certificate in activity_log
    prune_mac char(64) null default null           -- HMAC over this pruning
);

create table if not exists activity_tombstones (
    activity_id integer not null primary key,      -- of the row that was pruned
    seal_no integer not null,
    leaf_hash char(64) not null,                   -- stands for the row in its seal
    cert_uid char(32) not null,                    -- the certificate in activity_log
    mac char(64) not null                          -- HMAC over the columns above
);
create index if not exists activity_tombstones_seal_no_index on activity_tombstones (seal_no, activity_id);

create table if not exists activity_erasures (
    activity_id integer not null primary key,      -- of the row whose personal values were erased
    content_hash char(64) not null,                -- digest of the content that was there
    cert_uid char(32) not null,                    -- the certificate in activity_log
    mac char(64) not null                          -- HMAC over the columns above and the content now
);

-- == queue: jobs waiting and running, failed jobs, batches ======================================

create table if not exists jobs (
    id integer not null primary key autoincrement,
    queue varchar(64) not null,
    payload text not null,                         -- JSON
    attempts integer not null default 0,           -- how often it was started
    reserved_at integer null default null,         -- unix seconds
    available_at integer not null,                 -- unix seconds; while reserved, the end of the lease
    created_at integer not null,                   -- unix seconds
    -- added:
    uuid varchar(64) null default null,
    worker_id varchar(64) null default null,       -- which claim holds the reservation
    crashes integer not null default 0,            -- starts that ended with the death of the worker
    exceptions integer not null default 0,         -- starts that ended with an exception
    lock_key varchar(120) null default null,       -- the unique lock that this job owns
    batch_id varchar(64) null default null,
    cancelled_at integer null default null         -- unix seconds
);
-- SQLite ends every index with the rowid by itself: an id here would stand in it twice.
create index if not exists jobs_due_index on jobs (queue, available_at);

create table if not exists failed_jobs (
    id integer not null primary key autoincrement,
    uuid varchar(64) not null,
    connection text not null,
    queue text not null,
    payload text not null,                         -- JSON
    exception text not null,
    failed_at datetime not null default (strftime('%Y-%m-%d %H:%M:%f000', 'now')), -- UTC
    -- added:
    job varchar(255) not null default '',          -- the name shown to people
    fingerprint char(16) not null default '',      -- class, exception and place of the failure
    attempts integer not null default 0,
    batch_id varchar(64) null default null,
    lock_key varchar(120) null default null        -- the unique lock a retry has to take again
);
create unique index if not exists failed_jobs_uuid_unique on failed_jobs (uuid);
create index if not exists failed_jobs_fingerprint_index on failed_jobs (fingerprint);
create index if not exists failed_jobs_failed_at_index on failed_jobs (failed_at);

create table if not exists job_batches (
    id varchar(64) not null primary key,
    name varchar(255) not null,
    total_jobs integer not null,
    pending_jobs integer not null,                 -- not yet succeeded
    failed_jobs integer not null,
    failed_job_ids text not null,                  -- JSON; kept empty, see job_batch_failures
    options text null default null,                -- JSON
    cancelled_at integer null default null,        -- unix seconds
    created_at integer not null,                   -- unix seconds
    finished_at integer null default null          -- unix seconds
);
create index if not exists job_batches_created_at_index on job_batches (created_at);

create table if not exists job_batch_failures (
    batch_id varchar(64) not null,
    job_uuid varchar(64) not null,
    primary key (batch_id, job_uuid)
);

create table if not exists job_progress (
    uuid varchar(64) not null primary key,         -- of the job
    job_id integer not null,
    job varchar(255) not null,                     -- the name shown to people
    state varchar(16) not null,                    -- running, done, failed or cancelled
    done integer not null default 0,
    total integer null default null,
    message varchar(255) null default null,
    position integer not null default 0,           -- items a resumable loop has behind it
    started_at integer not null,                   -- unix seconds
    updated_at integer not null                    -- unix seconds
);
create index if not exists job_progress_job_id_index on job_progress (job_id);
create index if not exists job_progress_updated_at_index on job_progress (updated_at);

create table if not exists queue_locks (
    name varchar(120) not null primary key,
    kind varchar(16) not null,                     -- unique, overlap, limit or throttle
    owner varchar(120) not null,
    amount integer not null default 0,             -- hits in the window of a limit
    expires_at integer null default null           -- unix seconds; never when null
);

create table if not exists queue_workers (
    id varchar(64) not null primary key,
    host varchar(255) not null,
    pid integer not null,
    queues varchar(255) not null,
    processes integer not null,
    state varchar(16) not null,                    -- running, paused or stopping
    generation integer not null default 0,         -- the restart request it has obeyed
    done integer not null default 0,
    failed integer not null default 0,
    started_at integer not null,                   -- unix seconds
    beat_at integer not null,                      -- unix seconds
    current text null default null,                -- JSON: the jobs under way
    memory_mb integer null default null            -- of all its processes
);

create table if not exists queue_control (
    name varchar(96) not null primary key,         -- restart, or pause:<queue>
    amount integer not null default 0,             -- a generation, or unix seconds of the end
    updated_at integer not null                    -- unix seconds
);

create table if not exists queue_metrics (
    queue varchar(64) not null,
    minute integer not null,                       -- unix seconds / 60; 0 counts since the beginning
    name varchar(64) not null,
    amount integer not null default 0,
    primary key (queue, minute, name)
);

create table if not exists queue_schedule_runs (
    task varchar(120) not null,
    run_at integer not null,                       -- unix seconds of the due time
    host varchar(255) not null,
    started_at integer not null,                   -- unix seconds
    primary key (task, run_at)
);

-- added: how each task ended last, a row each
create table if not exists queue_schedule_results (
    task varchar(120) not null primary key,
    run_at integer not null,                       -- unix seconds of the due time
    started_at integer not null,                   -- unix seconds
    outcome varchar(16) not null,                  -- running, done, queued or failed
    ms integer null default null,
    failed_at integer null default null,           -- unix seconds of the last failure
    output text null default null                  -- the end of what that failure said
);

-- == notifications ==============================================================================

create table if not exists notifications (
    id char(36) not null primary key,
    type varchar(255) not null,
    notifiable_type varchar(255) not null,
    notifiable_id varchar(64) not null,
    data text not null,                            -- JSON
    read_at datetime null default null,            -- UTC
    created_at datetime null default null,         -- UTC
    updated_at datetime null default null,         -- UTC
    -- added:
    category varchar(64) null default null,        -- what people mute
    subject_type varchar(100) null default null,   -- what it is about
    subject_id varchar(64) null default null,
    dedupe_key varchar(100) null default null      -- one row a class, recipient and key: its id is made of them
);
create index if not exists notifications_inbox_index
    on notifications (notifiable_type, notifiable_id, created_at, id);
create index if not exists notifications_unread_page_index
    on notifications (notifiable_type, notifiable_id, read_at, created_at, id);
create index if not exists notifications_subject_index on notifications (subject_type, subject_id);
create index if not exists notifications_read_at_index on notifications (read_at);
create index if not exists notifications_created_at_index on notifications (created_at);

-- dropped: notifications_dedupe_unique on notifications

-- added:
create table if not exists notification_deliveries (
    notification_id char(36) not null,
    channel varchar(64) not null,
    status varchar(16) not null default 'sent',    -- wanted, held, sent, muted, refused, failed
    sent_at datetime null default null,            -- UTC; of the status
    reason varchar(500) null default null,         -- of the status
    type varchar(255) null default null,           -- class of the notification
    notifiable_type varchar(255) null default null, -- recipient; null for an address
    notifiable_id varchar(64) null default null,
    payload text null default null,                -- typed JSON; of what is held, or failed and may be sent again
    due_at datetime null default null,             -- UTC; when what is held goes out, or may be tried again
    primary key (notification_id, channel)
);
create index if not exists notification_deliveries_sent_at_index on notification_deliveries (sent_at);
create index if not exists notification_deliveries_due_index on notification_deliveries (status, due_at);

-- added:
create table if not exists notification_mutes (
    notifiable_type varchar(100) not null,
    notifiable_id varchar(64) not null,
    category varchar(64) not null,
    channel varchar(64) not null default '*',      -- * is every channel
    primary key (notifiable_type, notifiable_id, category, channel)
);

-- == cache and locks ============================================================================

create table if not exists cache (
    "key" varchar(255) not null primary key,
    value text not null,                           -- typed JSON; an integer as bare digits
    expiration integer not null,                   -- unix seconds
    -- added:
    fresh_until integer null default null,         -- unix seconds; usable but stale after that
    created_at integer not null default 0,         -- unix seconds; 0 unless the oldest are to go first
    bytes integer not null default 0,              -- of the whole row, likewise
    data blob null default null,                   -- bytes instead of value: their first says what they are
    tags text not null default ''                  -- versions of its tags when it was made
) without rowid;
-- An index of what has ended would cost as much as the rest of a write: `cache:gc` reads the table.
-- dropped: cache_expiration on cache
create index if not exists cache_created_at on cache (created_at, bytes) where created_at > 0;

create table if not exists cache_locks (
    "key" varchar(255) not null primary key,
    owner varchar(255) not null,
    expiration integer not null,                   -- unix seconds; a freed lock keeps its row
    -- added:
    token integer not null default 0               -- fencing number, grows with each holder
);
create index if not exists cache_locks_expiration on cache_locks (expiration);

-- added:
create table if not exists rate_limits (
    "key" varchar(255) not null primary key,
    hits integer not null default 0,               -- in the running window
    expiration integer not null,                   -- unix seconds; the window's end
    reserved integer not null default 0            -- attempts under way that may come to count
);
create index if not exists rate_limits_expiration on rate_limits (expiration);

-- == sessions ===================================================================================

create table if not exists sessions (
    id varchar(255) not null primary key,          -- SHA-256 of the cookie's secret
    user_id varchar(64) null default null,         -- key of the user who is logged in
    ip_address varchar(45) null default null,
    user_agent text null default null,
    payload text not null,                         -- typed JSON
    last_activity integer not null,                -- unix seconds
    -- added:
    version integer not null default 0,            -- grows with each save of the payload
    created_at integer not null default 0,         -- unix seconds, when the password was given
    mac char(64) null default null,                -- HMAC over id, version, created_at, payload
    remember_series varchar(64) null default null, -- the remember-me cookie this row stands for
    remembered_until integer not null default 0    -- unix seconds; the row is kept until then
);
create index if not exists sessions_user_id_index on sessions (user_id);
create index if not exists sessions_last_activity_index on sessions (last_activity);
create index if not exists sessions_remembered_until_index on sessions (remembered_until, last_activity);

-- added: where a session went whose id was changed, for requests that were under way
create table if not exists session_moves (
    old_id char(64) not null primary key,
    new_id char(64) not null,
    readable_until integer not null default 0,     -- unix seconds; 0: the old id is dead at once
    created_at integer not null default 0          -- unix seconds
);
create index if not exists session_moves_created_at_index on session_moves (created_at);

-- added: remember-me cookies, one series for each device
create table if not exists remember_tokens (
    id integer not null primary key autoincrement,
    series char(32) not null,                      -- first half of the cookie
    user_id varchar(64) not null,
    validator char(64) not null,                   -- SHA-256 of the second half
    previous_validator char(64) null default null, -- accepted for some seconds after a change
    changed_at integer not null default 0,         -- unix seconds of the last change
    password_mark char(64) null default null,      -- another password ends the series
    created_at integer not null,                   -- unix seconds, when the password was given
    expires_at integer not null                    -- unix seconds
);
create unique index if not exists remember_tokens_series_unique on remember_tokens (series);
create index if not exists remember_tokens_user_id_index on remember_tokens (user_id);
create index if not exists remember_tokens_expires_at_index on remember_tokens (expires_at);

-- == personal access tokens =====================================================================

create table if not exists personal_access_tokens (
    id integer not null primary key autoincrement,
    tokenable_type varchar(255) not null,
    tokenable_id varchar(64) not null,
    name varchar(255) not null,
    token char(64) not null,                       -- SHA-256 of the secret
    abilities text null default null,              -- JSON
    last_used_at datetime null default null,       -- UTC
    expires_at datetime null default null,         -- UTC
    created_at datetime null default null,         -- UTC
    updated_at datetime null default null,         -- UTC
    -- added:
    password_mark char(64) null default null       -- another password of the owner ends the token
);
create unique index if not exists personal_access_tokens_token_unique on personal_access_tokens (token);
create index if not exists personal_access_tokens_tokenable_index on personal_access_tokens (tokenable_type, tokenable_id);
create index if not exists personal_access_tokens_expires_at_index on personal_access_tokens (expires_at);

-- == accounts ===================================================================================
-- user_id: the key of the user; of another model than the application's own, `type:key`.

-- added: what is known of a login beside the application's own columns
create table if not exists user_security (
    user_id varchar(100) not null primary key,
    verified_email varchar(255) null default null, -- the address that was confirmed
    verified_at datetime null default null,        -- UTC
    locked_at datetime null default null,          -- UTC; null: not locked
    locked_until datetime null default null,       -- UTC; null: until somebody unlocks
    lock_reason text null default null,
    two_factor_secret text null default null,      -- sealed, see docs/authentication.md
    two_factor_on_at datetime null default null,   -- UTC; null: off, or still being set up
    two_factor_step integer not null default 0,    -- the last time step whose code was used
    password_changed_at datetime null default null -- UTC
);

-- added: beside the sessions, so that no import in the application's file holds a login up
create table if not exists last_logins (
    user_id varchar(100) not null primary key,
    at integer not null                            -- unix seconds
);

-- added: codes that stand in for the second factor, each once
create table if not exists recovery_codes (
    id integer not null primary key autoincrement,
    user_id varchar(100) not null,
    code char(64) not null                         -- SHA-256
);
create unique index if not exists recovery_codes_code_unique on recovery_codes (user_id, code);

-- added: links by which a forgotten password is replaced, each once
create table if not exists password_resets (
    token char(64) not null primary key,           -- SHA-256 of what the link holds
    user_id varchar(100) not null,
    password_mark char(64) not null,               -- another password ends the link
    expires_at integer not null                    -- unix seconds
);
create index if not exists password_resets_user_id_index on password_resets (user_id);
create index if not exists password_resets_expires_at_index on password_resets (expires_at);

-- added: hashes of earlier passwords, so that they do not come again
create table if not exists password_history (
    id integer not null primary key autoincrement,
    user_id varchar(100) not null,
    password varchar(255) not null,
    created_at datetime null default null          -- UTC
);
create index if not exists password_history_user_id_index on password_history (user_id, id);

-- == roles and permissions ======================================================================

-- added:
create table if not exists roles (
    id integer not null primary key autoincrement,
    name varchar(150) not null,
    two_factor integer not null default 0,         -- 1: its users need a second factor
    created_at datetime null default null,         -- UTC
    updated_at datetime null default null          -- UTC
);
create unique index if not exists roles_name_unique on roles (name);

-- added:
create table if not exists permissions (
    id integer not null primary key autoincrement,
    name varchar(150) not null,                    -- an ability; orders.* is all of orders
    created_at datetime null default null,         -- UTC
    updated_at datetime null default null          -- UTC
);
create unique index if not exists permissions_name_unique on permissions (name);

-- added:
create table if not exists role_user (
    role_id integer not null,
    user_id varchar(100) not null,
    primary key (role_id, user_id)
);
create index if not exists role_user_user_id_index on role_user (user_id);

-- added:
create table if not exists permission_role (
    permission_id integer not null,
    role_id integer not null,
    primary key (permission_id, role_id)
);
create index if not exists permission_role_role_id_index on permission_role (role_id);

-- == console: the last day's figures, and slow and failing requests =============================

-- added:
create table if not exists console_history (
    minute integer not null primary key,           -- unix seconds / 60
    figures text not null                          -- JSON: counters as they stood
);

-- added:
create table if not exists console_counters (
    name varchar(64) not null primary key,
    amount integer not null default 0              -- since the beginning
);

-- added: slow statements, without their values
create table if not exists console_statements (
    id integer not null primary key autoincrement,
    at integer not null,                           -- unix seconds
    ms integer not null,
    statement varchar(1000) not null,
    source varchar(255) not null,                  -- a route, or what kind of work it was
    request_id varchar(64) not null
);

-- added: sizes of tables, a row a day
create table if not exists console_sizes (
    day integer not null primary key,              -- unix seconds / 86400
    sizes text not null                            -- JSON: rows and bytes by table
);

-- added:
create table if not exists console_requests (
    id integer not null primary key autoincrement,
    at integer not null,                           -- unix seconds
    method varchar(16) not null,
    route varchar(255) null default null,          -- its pattern: paths may hold secrets
    status integer not null,
    ms integer not null,
    statements integer null default null,          -- where they were counted
    user_id varchar(64) null default null,
    request_id varchar(64) not null,
    exception varchar(500) null default null
);
