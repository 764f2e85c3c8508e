"""`exhubert app`: serves the web page for a model."""

import argparse


def add_command(commands) -> None:
    command = commands.add_parser("app", help="a web page to try a model", description="Serves a web page.")
    command.add_argument("model", help="folder or hub id of an ExHuBERT")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 lets other machines in")
    command.add_argument("--port", type=int, help="by default the first free one from 7860")
    command.add_argument("--device", help="such as cpu or cuda:0; by default the fastest there is")
    command.add_argument("--window_s", type=float, help="length of a window in s; by default that of the training")
    command.add_argument("--hop_s", type=float, help="s from one window to the next; by default a window")
    command.add_argument("--max_mb", type=float, help="largest file, in MB (default: 50)")
    command.add_argument("--max_minutes", type=float, help="longest recording (default: 60)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serves the page until it is stopped."""
    from ..app import Limits, serve

    chosen = {name: getattr(options, name) for name in ("max_mb", "max_minutes", "window_s", "hop_s")}
    limits = Limits(**{name: value for name, value in chosen.items() if value is not None})
    serve(options.model, options.host, options.port, options.device, limits)
    return 0
