"""The page that people share: photos, live video and films, read by a checkpoint of fer_lightning."""
