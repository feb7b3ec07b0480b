"""DEBUG_VSCODE: waits for a debugger before a run."""

from __future__ import annotations

import logging
import threading

log = logging.getLogger(__name__)


def wait_for_debugger(port: int, host: str, wait_s: float) -> bool:
    """Listen on TCP `port` of the address `host` until a debugger attaches, at most `wait_s` seconds.

    Logs a warning with the open port: whoever reaches it runs code as this user. Returns False, with a warning, if
    debugpy is not installed, the port cannot be opened or no debugger attaches: the run goes on without a debugger.
    """
    try:
        import debugpy
    except ImportError:
        log.warning("DEBUG_VSCODE is set but debugpy is not installed: running without it (pip install debugpy)")
        return False
    try:
        debugpy.listen((host, port))
    except (OSError, RuntimeError, ValueError) as error:
        log.warning("DEBUG_VSCODE: cannot listen on %s:%d (%s): running without a debugger", host, port, error)
        return False
    log.warning(
        "DEBUG_VSCODE: waiting up to %g s for a debugger on %s:%d; whoever reaches this port runs code as this user",
        wait_s,
        host,
        port,
    )
    limit = threading.Timer(min(wait_s, threading.TIMEOUT_MAX), debugpy.wait_for_client.cancel)
    limit.daemon = True
    limit.start()
    try:
        debugpy.wait_for_client()
    finally:
        limit.cancel()
    if not debugpy.is_client_connected():
        log.warning("DEBUG_VSCODE: no debugger attached within %g s: running without one", wait_s)
        return False
    return True
