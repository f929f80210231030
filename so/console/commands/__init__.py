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
    "queue:cancel": ("queue", "QueueCancel", "Remove a waiting job; ask a running one to stop"),
    "queue:clear": ("queue", "QueueClear", "Delete every job of a queue that is not running"),
    "queue:doctor": (
        "queue",
        "QueueDoctor",
        "Name what is wrong with the queue and how to mend it; exit 1 if anything is",
    ),
    "queue:failed": ("queue", "QueueFailed", "List failed jobs, or count them by kind"),
    "queue:flush": ("queue", "QueueFlush", "Delete all failed jobs"),
    "queue:forget": ("queue", "QueueForget", "Delete failed jobs"),
    "queue:metrics": ("queue", "QueueMetrics", "Print everything countable as OpenMetrics text"),
    "queue:monitor": ("queue", "QueueMonitor", "Exit with 1 if a queue is longer than --max"),
    "queue:pause": ("queue", "QueuePause", "Let no worker take jobs of a queue, or of any"),
    "queue:prune-batches": (
        "queue",
        "QueuePruneBatches",
        "Delete finished batches older than so many hours",
    ),
    "queue:prune-failed": (
        "queue",
        "QueuePruneFailed",
        "Delete failed jobs older than so many hours",
    ),
    "queue:restart": (
        "queue",
        "QueueRestart",
        "Let every worker finish its job and end, for the service manager to start anew",
    ),
    "queue:resume": ("queue", "QueueResume", "End a pause"),
    "queue:retry": ("queue", "QueueRetry", "Put failed jobs back into their queues"),
    "queue:retry-batch": (
        "queue",
        "QueueRetryBatch",
        "Put the failed jobs of a batch back into their queues",
    ),
    "queue:status": (
        "queue",
        "QueueStatus",
        "Show sizes, waiting times, throughput, workers and progress",
    ),
    "queue:work": ("queue", "QueueWork", "Process queued jobs"),
    "schedule:list": ("schedule", "ScheduleList", "Show what recurs, and when next"),
    "schedule:run": (
        "schedule",
        "ScheduleRun",
        "Begin what is due now and end; for a timer that runs it each minute",
    ),
    "schedule:work": (
        "schedule",
        "ScheduleWork",
        "Begin what is due at each full minute until stopped",
    ),
}
