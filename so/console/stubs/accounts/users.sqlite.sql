create table users (
    id integer primary key autoincrement,
    name varchar(100) not null,
    email varchar(190) not null unique,
    password varchar(255) not null default '',
    created_at datetime null,
    updated_at datetime null
);

-- rollback

drop table users;
