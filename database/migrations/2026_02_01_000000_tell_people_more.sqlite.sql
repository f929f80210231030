-- How each user reads numbers, dates and times; why an import failed.

alter table users add column locale text; -- such as de-DE; null: app.locale
alter table users add column timezone text; -- such as Europe/Berlin; null: app.timezone
alter table order_imports add column problem text;

-- rollback
alter table order_imports drop column problem;
alter table users drop column timezone;
alter table users drop column locale;
