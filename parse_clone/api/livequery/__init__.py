"""The WebSocket door: frames in, frames out, on the same port as REST."""
