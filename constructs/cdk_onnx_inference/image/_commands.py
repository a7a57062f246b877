"""Commands of the image. One image serves many functions: each function has its own command."""

from __future__ import annotations

from typing import Final

HTTP: Final = "onnx_handler.http.handler"
"""The function behind an API."""

PUBLISH: Final = "onnx_handler.publish.handler"
"""The function that copies models to a mounted file system."""

QUEUE: Final = "onnx_handler.queue.handler"
"""The worker, which takes jobs from a queue."""

JOB_API: Final = "onnx_handler.job_api.handler"
"""The function that accepts jobs and answers questions about them."""

DEAD_LETTERS: Final = "onnx_handler.dead_letters.handler"
"""The function that records why jobs were given up."""

SWEEP: Final = "onnx_handler.sweep.handler"
"""The function that records which jobs are past their deadline."""

VERIFY: Final = "onnx_handler.verify.handler"
"""The hooks of a deployment."""
