"""The dashboard: what operators see and do, a folder a page, on a frame and charts that all share."""
