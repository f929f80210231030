create table users (
    id bigint unsigned not null auto_increment primary key,
    name varchar(100) not null,
    email varchar(190) not null unique,
    password varchar(255) not null default '',
    created_at datetime(6) null,
    updated_at datetime(6) null
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci;

-- rollback

drop table users;
