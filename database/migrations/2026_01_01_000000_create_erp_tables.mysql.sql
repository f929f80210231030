-- The demo ERP: users, catalogue, customers, orders, invoices, imports and reports.

create table users (
    id bigint unsigned not null auto_increment primary key,
    name varchar(191) not null,
    email varchar(191) not null unique,
    password text not null,
    role varchar(20) not null default 'clerk', -- admin, manager, clerk or warehouse
    is_active tinyint(1) not null default 1,
    created_at datetime(6),
    updated_at datetime(6)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci;

create table products (
    id bigint unsigned not null auto_increment primary key,
    sku varchar(64) collate utf8mb4_bin not null unique,
    name varchar(191) not null,
    category varchar(191) not null,
    price decimal(14,2) not null,
    stock int not null default 0,
    reorder_level int not null default 10,
    is_active tinyint(1) not null default 1,
    lock_version int not null default 0,
    created_at datetime(6),
    updated_at datetime(6)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci;
create index products_category_name on products (category, name);

create table customers (
    id bigint unsigned not null auto_increment primary key,
    number varchar(64) collate utf8mb4_bin not null unique,
    name varchar(191) not null,
    email varchar(191),
    city varchar(191),
    created_at datetime(6),
    updated_at datetime(6)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci;
create index customers_name on customers (name);

create table orders (
    id bigint unsigned not null auto_increment primary key,
    number varchar(64) collate utf8mb4_bin not null unique,
    customer_id bigint unsigned not null,
    user_id bigint unsigned, -- who took it; null for an imported order
    status varchar(20) not null default 'open', -- open, shipped, imported or cancelled
    ordered_on date not null,
    total decimal(14,2) not null default '0.00',
    created_at datetime(6),
    updated_at datetime(6),
    foreign key (customer_id) references customers (id),
    foreign key (user_id) references users (id)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci;
create index orders_customer on orders (customer_id, ordered_on);
create index orders_date on orders (ordered_on);

create table order_lines (
    id bigint unsigned not null auto_increment primary key,
    order_id bigint unsigned not null,
    line_no int not null,
    product_id bigint unsigned not null,
    quantity int not null,
    unit_price decimal(14,2) not null,
    line_total decimal(14,2) not null,
    unique (order_id, line_no),
    foreign key (order_id) references orders (id) on delete cascade,
    foreign key (product_id) references products (id)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci;
create index order_lines_product on order_lines (product_id);

create table invoices (
    id bigint unsigned not null auto_increment primary key,
    number varchar(64) collate utf8mb4_bin not null unique,
    order_id bigint unsigned not null unique,
    customer_id bigint unsigned not null,
    owner_id bigint unsigned not null, -- who is told what becomes of it
    status varchar(20) not null default 'draft', -- draft, submitted, approved or rejected
    amount decimal(14,2) not null,
    due_on date not null,
    decided_by bigint unsigned,
    decided_at datetime(6),
    note text,
    lock_version int not null default 0,
    created_at datetime(6),
    updated_at datetime(6),
    foreign key (order_id) references orders (id),
    foreign key (customer_id) references customers (id),
    foreign key (owner_id) references users (id),
    foreign key (decided_by) references users (id)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci;
create index invoices_status on invoices (status, due_on);

create table order_imports (
    id bigint unsigned not null auto_increment primary key,
    user_id bigint unsigned,
    file_name varchar(191) not null,
    path varchar(500) not null,
    status varchar(20) not null default 'waiting', -- waiting, running, finished or failed
    total_lines int not null default 0,
    done_lines int not null default 0, -- the checkpoint: saved with the lines themselves
    imported int not null default 0,
    repeated int not null default 0, -- lines that were there already
    rejected int not null default 0,
    finished_at datetime(6),
    created_at datetime(6),
    updated_at datetime(6),
    foreign key (user_id) references users (id)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci;

create table order_import_errors (
    id bigint unsigned not null auto_increment primary key,
    import_id bigint unsigned not null,
    line_no int not null,
    reason varchar(500) not null,
    content text not null,
    unique (import_id, line_no),
    foreign key (import_id) references order_imports (id) on delete cascade
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci;

create table reports (
    id bigint unsigned not null auto_increment primary key,
    user_id bigint unsigned,
    month varchar(7) not null unique, -- YYYY-MM
    status varchar(20) not null default 'waiting', -- waiting or finished
    orders int not null default 0,
    revenue decimal(14,2) not null default '0.00',
    path varchar(500),
    created_at datetime(6),
    updated_at datetime(6),
    foreign key (user_id) references users (id)
) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_unicode_ci;

-- rollback
drop table reports;
drop table order_import_errors;
drop table order_imports;
drop table invoices;
drop table order_lines;
drop table orders;
drop table customers;
drop table products;
drop table users;
