"""LeRobot v3 on disk: layout, statistics, videos, staging, packing, reading."""
