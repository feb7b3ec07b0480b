"""How many requests a model's queue at the server takes.

Triton refuses a request if `max_queue_size` others wait ("Exceeds maximum queue size"). Those that an instance computes
do not wait, but they leave the queue only after the next requests have come: in-flight requests beyond the queue's
size, if only one for each instance, are refused in the steady state. The limit is therefore the queue's size alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gpu_infer.triton.model.info import ModelInfo


class QueuePolicy(Protocol):
    """Triton's message ModelQueuePolicy."""

    max_queue_size: int


class DynamicBatching(Protocol):
    """Triton's message ModelDynamicBatching."""

    default_priority_level: int
    default_queue_policy: QueuePolicy
    priority_queue_policy: Mapping[int, QueuePolicy]


def queue_of(batching: DynamicBatching) -> int | None:
    """Requests without a priority that may wait at a time, None: no limit. Our requests have no priority."""
    level, policies = batching.default_priority_level, batching.priority_queue_policy
    policy = policies.get(level, batching.default_queue_policy)
    return int(policy.max_queue_size) or None


def slots_within_queue(model: ModelInfo, workers: int) -> int | None:
    """Requests that each of `workers` on one server may have in flight, at least 1; None: no limit.

    If there are more workers than the queue takes, one request each is too many, too.
    """
    return None if model.queue is None else max(1, model.queue // workers)
