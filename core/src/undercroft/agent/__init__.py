"""The agent: what loads the plugins, fills the engine with their manifolds, and runs it under the service manager."""
