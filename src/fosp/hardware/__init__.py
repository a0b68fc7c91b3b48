"""Robots, cameras and the people beside them. Vendors' packages are imported when a device is opened, not before."""
