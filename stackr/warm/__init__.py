"""The warm process: `stackr` hands its command to a process that has everything imported already.

`client` is what the shell starts: it asks the server of the same user, or runs the command itself
where there is none. `server` forks a worker for each command; `worker` takes the caller's place.
Source: the idea is that of Mercurial's chg.
"""
