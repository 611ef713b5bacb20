"""Commands on single things, as the docker CLI has them: containers, images, networks, volumes.

Each follows the docker CLI's command of the same name: its options, output and exit codes. What the
engine is asked and answers stays JSON of its API, as most of it is shown as it is.
Source: docker/cli, cli/command.
"""
