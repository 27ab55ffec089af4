"""The cluster, by `kubernetes.aio`: one connection pool, plain dicts, server-side apply as field manager `accord`."""
