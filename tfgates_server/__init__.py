"""The server of exported models, a small double of tensorflow_model_server."""
