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
    updated_at datetime null default null          -- UTC
);

-- == queue: jobs waiting and running, failed jobs, batches ======================================

create table if not exists jobs (
    id integer not null primary key autoincrement,
    queue varchar(64) not null,
    payload text not null,                         -- JSON
    attempts integer not null default 0,
    reserved_at integer null default null,         -- unix seconds
    available_at integer not null,                 -- unix seconds
    created_at integer not null                    -- unix seconds
);

create table if not exists failed_jobs (
    id integer not null primary key autoincrement,
    uuid varchar(64) not null,
    connection text not null,
    queue text not null,
    payload text not null,                         -- JSON
    exception text not null,
    failed_at datetime not null default (strftime('%Y-%m-%d %H:%M:%f000', 'now')) -- UTC
);
create unique index if not exists failed_jobs_uuid_unique on failed_jobs (uuid);

create table if not exists job_batches (
    id varchar(64) not null primary key,
    name varchar(255) not null,
    total_jobs integer not null,
    pending_jobs integer not null,
    failed_jobs integer not null,
    failed_job_ids text not null,                  -- JSON
    options text null default null,                -- JSON
    cancelled_at integer null default null,        -- unix seconds
    created_at integer not null,                   -- unix seconds
    finished_at integer null default null          -- unix seconds
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
    updated_at datetime null default null          -- UTC
);

-- == cache and locks ============================================================================

create table if not exists cache (
    "key" varchar(255) not null primary key,
    value text not null,                           -- typed JSON
    expiration integer not null                    -- unix seconds
);

create table if not exists cache_locks (
    "key" varchar(255) not null primary key,
    owner varchar(255) not null,
    expiration integer not null                    -- unix seconds
);

-- == sessions ===================================================================================

create table if not exists sessions (
    id varchar(255) not null primary key,
    user_id varchar(64) null default null,
    ip_address varchar(45) null default null,
    user_agent text null default null,
    payload text not null,
    last_activity integer not null                 -- unix seconds
);

-- == personal access tokens =====================================================================

create table if not exists personal_access_tokens (
    id integer not null primary key autoincrement,
    tokenable_type varchar(255) not null,
    tokenable_id varchar(64) not null,
    name varchar(255) not null,
    token char(64) not null,
    abilities text null default null,              -- JSON
    last_used_at datetime null default null,       -- UTC
    expires_at datetime null default null,         -- UTC
    created_at datetime null default null,         -- UTC
    updated_at datetime null default null          -- UTC
);
create unique index if not exists personal_access_tokens_token_unique on personal_access_tokens (token);
