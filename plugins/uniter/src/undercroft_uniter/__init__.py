"""The unit agent: deploys the units placed on a machine and runs their charms."""
