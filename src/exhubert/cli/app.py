"""`exhubert app`: serves a web page that classifies recordings with a model."""

import argparse


def add_command(commands) -> None:
    command = commands.add_parser("app", help="try a model on a web page", description="Serves a web page.")
    command.add_argument("model", help="folder or hub id of an ExHuBERT")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets other machines in")
    command.add_argument("--port", type=int, help="by default the first free one from 7860")
    command.add_argument("--device", help="such as cpu or cuda:0; by default the fastest one available")
    command.add_argument("--window_s", type=float, help="window length in s; by default as in training")
    command.add_argument("--hop_s", type=float, help="s from one window to the next; by default the window length")
    command.add_argument("--max_mb", type=float, help="largest file, in MB (default: 50)")
    command.add_argument("--max_minutes", type=float, help="longest recording, in minutes (default: 60)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves the page until it is stopped."""
    from ..app import Limits, serve

    values = {name: getattr(options, name) for name in ("max_mb", "max_minutes", "window_s", "hop_s")}
    limits = Limits(**{name: value for name, value in values.items() if value is not None})
    serve(options.model, options.host, options.port, options.device, limits)
    return 0
