"""The page of a run: index.html in the publish folder."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from gpu_infer.errors import ConfigError
from gpu_infer.redaction import reported_path
from gpu_infer.report import Report
from gpu_infer.results.failures import failure_warns
from gpu_infer.results.publish import render_settings
from gpu_infer.segment import Segmentation
from gpu_infer.settings import Settings
from gpu_infer.system.notices import NOTICE
from gpu_infer.system.resources import resource_folder
from gpu_infer.volume.volume import Volume
from gpu_infer.writers.names import published_name
from gpu_infer.writers.page.asset import check_viewer, has_viewer
from gpu_infer.writers.page.places import page_places
from gpu_infer.writers.places import Place
from gpu_infer.writers.render_settings import FILE_NAME

log = logging.getLogger(__name__)

_extras = iter([NOTICE])
"""Of the log lines about a missing viewer: a terminal shows the first one, and not one for each case of a batch."""


def write_page(segmentation: Segmentation, volume: Volume, report: Report) -> Path | None:
    """Write index.html into the publish folder and record it, unless the options or the installation exclude it.

    Without --page, a failure is a warning. Raises what `writers.page.write.write_page` raises with --page.
    """
    inputs = segmentation.plan.inputs
    settings = inputs.settings
    if settings.publish is None or not has_page(settings):
        return None
    from gpu_infer.writers.page.case import make_legend
    from gpu_infer.writers.page.write import LabelMap, write_page

    folder, name = settings.publish, published_name(inputs.header.case_name)
    failure: AbstractContextManager[None] = nullcontext()
    if not settings.page:
        failure = failure_warns(report, f"page {folder / 'index.html'} failed")
    with report.stage("page"), failure:
        maps = [
            LabelMap(
                segmentation.labels[section["field"]],
                make_legend(section["field"], section["labels"], inputs.config.labels),
            )
            for section in report.data["outputs"]
        ]
        render = render_settings(settings.config) or resource_folder("config") / FILE_NAME
        page = write_page(volume, maps, name, folder, render)
        report.add(page=reported_path(page))
        return page
    return None


def has_page(settings: Settings) -> bool:
    """Whether the run writes a page: something is published, and the viewer is installed.

    Raises `ConfigError` if `--page` asks for one that cannot be written.
    """
    if settings.page:
        if settings.publish is None:
            raise ConfigError("--page: found no publish folder, into which it goes", remedy="add --publish FOLDER")
        check_viewer()
        return True
    if settings.publish is None or settings.page is False:
        return False
    if not has_viewer():
        # No warning, because images are built without it on purpose, but a person at a terminal expects the page.
        log.info(
            "no page in the publish folder: this package was built without npm, which fetches the viewer (install npm "
            "and then the package again, or run `make page-asset` in a checkout; --no-page: without this line)",
            extra=next(_extras, None),
        )
    return has_viewer()


def required_page_places(settings: Settings) -> list[Place]:
    """Places of the page for the check before the inference, if `--page` asks for it.

    A page that nobody asked for is left out with a warning if a file of another program is in its place.
    """
    if not settings.page or not has_page(settings) or settings.publish is None:
        return []
    return page_places(settings.publish)
