"""What recurs: cron expressions, and the tasks that follow them."""
