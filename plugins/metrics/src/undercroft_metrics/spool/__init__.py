"""Batches that wait to be sent, in files that survive crashes, full disks and weeks without anybody to send them to."""
