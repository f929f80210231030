"""The framework's commands by name, so that `list` and a typo cost no import.

name → (module in this package, class, one line for `list`). A test compares it with the classes.
"""

COMMANDS: dict[str, tuple[str, str, str]] = {
    "about": ("about", "About", "Show the application, its engine and its drivers"),
    "check": ("about", "Check", "Name every fault of this installation, exit 1 if there is one"),
    "new": ("new", "New", "Create a new application in a directory"),
    "config:show": ("config", "ConfigShow", "Show the configuration, secrets masked"),
    "db:backup": ("db", "DbBackup", "Copy an SQLite database while it is in use"),
    "db:check": ("db", "DbCheck", "Name each missing table, column, index and wrong collation"),
    "db:install": ("db", "DbInstall", "Create the framework tables; harmless when they exist"),
    "db:schema": ("db", "DbSchema", "Print the SQL that creates the framework tables"),
    "db:seed": ("db", "DbSeed", "Fill the database with a seeder"),
    "make:command": ("make", "MakeCommand", "Create a console command"),
    "make:controller": ("make", "MakeController", "Create a controller"),
    "make:job": ("make", "MakeJob", "Create a queued job"),
    "make:middleware": ("make", "MakeMiddleware", "Create a middleware"),
    "make:migration": ("migrate", "MakeMigration", "Create a migration"),
    "make:model": ("make", "MakeModel", "Create a model"),
    "make:notification": ("make", "MakeNotification", "Create a notification"),
    "make:provider": ("make", "MakeProvider", "Create a service provider"),
    "make:seeder": ("make", "MakeSeeder", "Create a database seeder"),
    "migrate": ("migrate", "Migrate", "Apply the pending migrations"),
    "migrate:rollback": ("migrate", "MigrateRollback", "Undo the last batch of migrations"),
    "migrate:status": (
        "migrate",
        "MigrateStatus",
        "List the migrations and whether they were applied",
    ),
}
