"""The sources, their splits and the loaders."""
