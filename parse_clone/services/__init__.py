"""What the server does: plain functions `do_something(toolbox, context, ...)` over the ports."""
