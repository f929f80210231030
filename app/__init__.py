"""The demo ERP: orders, invoices, imports and reports on the framework; also a pattern to copy."""
