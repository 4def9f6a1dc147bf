"""The storage providers that come with the plugin."""
