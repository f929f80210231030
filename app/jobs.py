"""What runs in the background."""

from __future__ import annotations

from app.importing import WrongFile, run_import
from app.models import OrderImport, Report, User
from app.notifications import WorkFinished
from app.reports import generate
from so import Job, local

OUR_FAULT = (
    "Something broke on our side, and those who run this system have been told. Lines that were "
    "imported stay; send the file again, and the import goes on behind them."
)


class ImportOrders(Job):
    """Imports one CSV file; killed, it goes on at its checkpoint."""

    timeout = 3600
    tries = 5

    def __init__(self, import_id: int) -> None:
        self.import_id = import_id

    def handle(self) -> None:
        job = OrderImport.find_or_fail(self.import_id)
        if job.status == "finished":
            return
        try:
            run_import(job, lambda done, total: self.progress(done, total, "Importing orders"))
        except WrongFile as error:
            self.fail(error)  # another attempt would read the same file
            return
        text = f"{job.imported} lines imported, {job.repeated} repeated, {job.rejected} rejected"
        self._tell(job, "Import finished", text)

    def failed(self, exception: BaseException) -> None:
        job = OrderImport.find(self.import_id)
        if job is not None:
            reason = str(exception) if isinstance(exception, WrongFile) else OUR_FAULT
            job.force_fill({"status": "failed", "problem": reason}).save()
            self._tell(job, "Import failed", reason)

    @staticmethod
    def _tell(job: OrderImport, title: str, message: str) -> None:
        user = User.find(job.user_id) if job.user_id else None
        if user is not None:
            user.notify(WorkFinished(title, f"{job.file_name}: {message}", f"/imports/{job.id}"))


class GenerateMonthlyReport(Job):
    """Adds up one month and tells whoever asked."""

    timeout = 600
    queue = "reports"

    def __init__(self, month: str, user_id: int | None = None) -> None:
        self.month, self.user_id = month, user_id

    def handle(self) -> None:
        report = generate(Report.first_or_create({"month": self.month}, {"user_id": self.user_id}))
        user = User.find(self.user_id) if self.user_id else None
        if user is not None:
            text = f"{report.month}: {report.orders} orders, {local(user).money(report.revenue)}"
            user.notify(WorkFinished("Report ready", text, f"/reports/{report.month}"))
