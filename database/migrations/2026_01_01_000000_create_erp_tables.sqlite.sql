-- The demo ERP: users, catalogue, customers, orders, invoices, imports and reports.
-- Money is decimal(14,2): exact to 15 digits, and a plain sqlite3 shell sorts it.

create table users (
    id integer primary key autoincrement,
    name text not null,
    email text not null unique,
    password text not null,
    role text not null default 'clerk', -- admin, manager, clerk or warehouse
    is_active integer not null default 1,
    created_at text,
    updated_at text
);

create table products (
    id integer primary key autoincrement,
    sku text not null unique,
    name text not null,
    category text not null,
    price decimal(14,2) not null,
    stock integer not null default 0,
    reorder_level integer not null default 10,
    is_active integer not null default 1,
    lock_version integer not null default 0,
    created_at text,
    updated_at text
);
create index products_category_name on products (category, name);

create table customers (
    id integer primary key autoincrement,
    number text not null unique,
    name text not null,
    email text,
    city text,
    created_at text,
    updated_at text
);
create index customers_name on customers (name);

create table orders (
    id integer primary key autoincrement,
    number text not null unique,
    customer_id integer not null references customers (id),
    user_id integer references users (id), -- who took it; null for an imported order
    status text not null default 'open', -- open, shipped, imported or cancelled
    ordered_on text not null,
    total decimal(14,2) not null default 0,
    created_at text,
    updated_at text
);
create index orders_customer on orders (customer_id, ordered_on);
create index orders_date on orders (ordered_on);

create table order_lines (
    id integer primary key autoincrement,
    order_id integer not null references orders (id) on delete cascade,
    line_no integer not null,
    product_id integer not null references products (id),
    quantity integer not null,
    unit_price decimal(14,2) not null,
    line_total decimal(14,2) not null,
    unique (order_id, line_no)
);
create index order_lines_product on order_lines (product_id);

create table invoices (
    id integer primary key autoincrement,
    number text not null unique,
    order_id integer not null unique references orders (id),
    customer_id integer not null references customers (id),
    owner_id integer not null references users (id), -- who is told what becomes of it
    status text not null default 'draft', -- draft, submitted, approved or rejected
    amount decimal(14,2) not null,
    due_on text not null,
    decided_by integer references users (id),
    decided_at text,
    note text,
    lock_version integer not null default 0,
    created_at text,
    updated_at text
);
create index invoices_status on invoices (status, due_on);

create table order_imports (
    id integer primary key autoincrement,
    user_id integer references users (id),
    file_name text not null,
    path text not null,
    status text not null default 'waiting', -- waiting, running, finished or failed
    total_lines integer not null default 0,
    done_lines integer not null default 0, -- the checkpoint: saved with the lines themselves
    imported integer not null default 0,
    repeated integer not null default 0, -- lines that were there already
    rejected integer not null default 0,
    finished_at text,
    created_at text,
    updated_at text
);

create table order_import_errors (
    id integer primary key autoincrement,
    import_id integer not null references order_imports (id) on delete cascade,
    line_no integer not null,
    reason text not null,
    content text not null,
    unique (import_id, line_no)
);

create table reports (
    id integer primary key autoincrement,
    user_id integer references users (id),
    month text not null unique, -- YYYY-MM
    status text not null default 'waiting', -- waiting or finished
    orders integer not null default 0,
    revenue decimal(14,2) not null default 0,
    path text,
    created_at text,
    updated_at text
);

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
