"""Undercroft's store on an etcd cluster."""
