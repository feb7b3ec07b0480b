"""What all cases of a batch share, in a form that workers on other hosts can receive."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from gpu_infer.batch.case import Case
from gpu_infer.batch.servers import server_of, workers_on
from gpu_infer.settings import Settings

DEFAULT_LANES = 3
"""Cases of one worker at a time: one is read, one is inferred, one is written."""


@dataclass(frozen=True)
class BatchJob:
    """Settings of a batch; picklable.

    settings      those of every run; `input` and `output` are the batch's
    lanes         cases that a worker has in work at a time, at most
    servers       addresses of Triton servers that are dealt to workers in turn; empty: that of `settings`
    workers       workers of the batch, which share the servers
    host_bytes    what one worker may have of its host's memory, None: what is free
    clients       workers that send to the same server, at the same time
    """

    settings: Settings
    lanes: int = DEFAULT_LANES
    servers: tuple[str, ...] = ()
    workers: int = 1
    host_bytes: int | None = None
    clients: int = 1

    @property
    def output(self) -> Path:
        """The folder that has one folder per case."""
        return self.settings.output

    def case_folder(self, case: Case) -> Path:
        """The folder of a case's outputs."""
        return self.output / case.id

    def case_settings(self, case: Case) -> Settings:
        """The settings of the run of one case: its input, and all its files in folders of its own.

        The identifier is the name of the case, a pattern without fields: `find_cases` has applied that of `--name`.
        """
        folder, publish = self.case_folder(case), self.settings.publish
        return replace(
            self.settings,
            input=case.inputs[0],
            channels=case.inputs if len(case.inputs) > 1 else (),
            series_files=case.slices,
            series=self.settings.series if case.series is None else case.series,
            output=folder,
            logs=folder,
            output_name=None,
            name=case.id,
            publish=None if publish is None else publish / case.id,
        )

    def worker_job(self, number: int, workers: int | None = None) -> BatchJob:
        """The job of worker `number`, from 0, of `workers` (None: those of the job), which uses one of the servers."""
        if self.settings.local_models is not None:  # a server for each
            return self
        workers = max(number + 1, self.workers if workers is None else workers)
        clients = workers_on(self.servers or ("",), number, workers)
        if not self.servers:
            return replace(self, clients=clients)
        address = server_of(self.servers, number)
        settings = replace(self.settings, triton_http=None, triton_grpc=None, triton_either=address)
        return replace(self, settings=settings, clients=clients)
