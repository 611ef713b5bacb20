"""Two command lines of each command, with what they are for; by the command's words."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["EXAMPLES"]

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("stackr up -d --wait", "start the stack of this folder"),
        ("stackr diff", "what would up change?"),
    ),
    "up": (
        ("stackr up -d --wait", "return when all is ready"),
        ("stackr up stack.yml web", "a file, one service and its needs"),
    ),
    "create": (
        ("stackr create", "all containers, none started"),
        ("stackr create --pull always web", "with the newest image"),
    ),
    "scale": (
        ("stackr scale web=3", "three containers of web"),
        ("stackr scale worker=0 --no-deps", "none, and nothing else"),
    ),
    "apply": (
        ("stackr apply plan.json", "what diff --out saved"),
        ("stackr apply --atomic plan.json", "go back if it fails"),
    ),
    "history": (
        ("stackr history", "all revisions, the newest first"),
        ("stackr history 3", "who made revision 3, and what it changed"),
    ),
    "rollback": (
        ("stackr rollback", "to the revision before"),
        ("stackr rollback 3 --dry-run", "what would it change?"),
    ),
    "down": (
        ("stackr down", "volumes and images stay"),
        ("stackr down -v", "volumes and their data go too"),
    ),
    "diff": (
        ("stackr diff --exit-code", "exit with 2 if anything changes"),
        ("stackr diff --base main", "what does this branch change?"),
    ),
    "test": (
        ("stackr test -- pytest tests", "the tests beside the stack"),
        ("stackr test --artifacts out -- make e2e", "keep logs of a failure"),
    ),
    "env": (
        ("stackr env --isolated", "NAME=value, for a shell or a file"),
        ("stackr env --isolated --json", "for one that reads JSON"),
    ),
    "ps": (
        ("stackr ps -a", "stopped containers as well"),
        ("stackr ps --format '{{.Name}} {{.State}}'", "chosen columns"),
    ),
    "logs": (
        ("stackr logs -f --tail 20 web", "the last lines, and what comes"),
        ("stackr logs --since 10m", "of the last ten minutes"),
    ),
    "config": (
        ("stackr config", "the file with all values filled in"),
        ("stackr config --lint", "what is allowed, but unusual"),
    ),
    "explain": (
        ("stackr explain web.environment.LEVEL", "where is it set?"),
        ("stackr explain '$TAG'", "where does a variable come from?"),
    ),
    "build": (
        ("stackr build web", "one service's image"),
        ("stackr build --check", "only check the Dockerfiles"),
    ),
    "pull": (
        ("stackr pull", "every image"),
        ("stackr pull --policy missing web", "only if it is not here"),
    ),
    "push": (
        ("stackr push", "every image that is built"),
        ("stackr push web", "one service's image"),
    ),
    "start": (
        ("stackr start", "all that is stopped"),
        ("stackr start --wait db", "return when it is ready"),
    ),
    "stop": (
        ("stackr stop", "all containers; they are kept"),
        ("stackr stop -t 30s db", "it may take 30 seconds"),
    ),
    "restart": (
        ("stackr restart web", "and what depends on it, where the file says so"),
        ("stackr restart --no-deps web", "it alone"),
    ),
    "pause": (
        ("stackr pause db", "its processes stand still"),
        ("stackr pause", "all of the stack"),
    ),
    "unpause": (
        ("stackr unpause db", "its processes go on"),
        ("stackr unpause", "all of the stack"),
    ),
    "kill": (
        ("stackr kill web", "at once, with SIGKILL"),
        ("stackr kill -s HUP web", "have it read its settings again"),
    ),
    "rm": (
        ("stackr rm", "stopped containers, after a question"),
        ("stackr rm -fs web", "stop it first, and do not ask"),
    ),
    "run": (
        ("stackr run --rm web sh", "a shell in a new container"),
        ("stackr run --rm -e CI=1 web make test", "with a variable"),
    ),
    "exec": (
        ("stackr exec web sh", "a shell in the running container"),
        ("stackr exec -T db pg_dump shop", "without a terminal, for pipes"),
    ),
    "attach": (
        ("stackr attach web", "ctrl-p ctrl-q leaves it"),
        ("stackr attach --no-stdin web", "only watch its output"),
    ),
    "cp": (
        ("stackr cp web:/etc/nginx/nginx.conf .", "from a container"),
        ("stackr cp seed.sql db:/tmp/", "into all containers of db"),
    ),
    "export": (
        ("stackr export web -o web.tar", "all of its files"),
        ("stackr export web | tar tv", "what is in it?"),
    ),
    "commit": (
        ("stackr commit web shop/web:debug", "an image of it, as it is now"),
        ('stackr commit -c "CMD sh" web shop/web:sh', "with another command"),
    ),
    "port": (
        ("stackr port web 80", "where does port 80 answer?"),
        ("stackr port --protocol udp dns 53", "a port of UDP"),
    ),
    "images": (
        ("stackr images", "of the stack's containers"),
        ("stackr images -q", "only their IDs"),
    ),
    "image": (
        ("stackr image ls", "all images that are here"),
        ("stackr image prune", "remove those without a name that nothing uses"),
    ),
    "image prune": (
        ("stackr image prune -a", "all that no container uses"),
        ("stackr image prune -f --filter until=72h", "made three days ago; ask nothing"),
    ),
    "builder": (
        ("stackr builder prune", "free space"),
        ("stackr builder prune --all", "free more of it"),
    ),
    "builder prune": (
        ("stackr builder prune -f --filter until=72h", "unused for three days; ask nothing"),
        ("stackr builder prune --keep-storage 5GB", "keep what was used last"),
    ),
    "volumes": (
        ("stackr volumes", "of the stack"),
        ("stackr volumes -q db", "names of those that db uses"),
    ),
    "top": (
        ("stackr top", "processes of all services"),
        ("stackr top web", "of one"),
    ),
    "events": (
        ("stackr events", "until Ctrl-C"),
        ("stackr events --json --since 1h", "the last hour too, as JSON"),
    ),
    "stats": (
        ("stackr stats", "until Ctrl-C"),
        ("stackr stats --no-stream db", "once"),
    ),
    "wait": (
        ("stackr wait job", "its exit code is that of job"),
        ("stackr wait --down-project job", "then remove the stack"),
    ),
    "watch": (
        ("stackr watch", "start the stack, and follow its sources"),
        ("stackr watch --no-up web", "one service, which runs already"),
    ),
    "ui": (
        ("stackr ui", "the stack of this folder, on a full screen"),
        ("stackr ui stack.yml", "that of a file"),
    ),
    "graph": (
        ("stackr graph", "as a tree"),
        ("stackr graph --format mermaid", "for a page or a README"),
    ),
    "ls": (
        ("stackr ls", "projects that run"),
        ("stackr ls -a --format json", "all of them, as JSON"),
    ),
    "container": (
        ("stackr container ls -a", "all of them, whatever project they are of"),
        ("stackr container rm -f old", "stop it, and remove it"),
    ),
    "container attach": (
        ("stackr container attach job", "ctrl-p ctrl-q leaves it"),
        ("stackr container attach --no-stdin job", "only watch its output"),
    ),
    "container create": (
        ("stackr container create --name web nginx", "make it, and do not start it"),
        ("stackr container create -p 8080:80 nginx", "with a port"),
    ),
    "container exec": (
        ("stackr container exec -it web sh", "a shell in it"),
        ("stackr container exec web env", "one program"),
    ),
    "container logs": (
        ("stackr container logs -f --tail 20 web", "the last lines, and what comes"),
        ("stackr container logs --since 10m web", "of the last ten minutes"),
    ),
    "container run": (
        ("stackr container run --rm -it alpine sh", "a shell, and nothing is left of it"),
        ("stackr container run -d -p 8080:80 nginx", "in the background"),
    ),
    "container start": (
        ("stackr container start web", "one that is stopped"),
        ("stackr container start -a job", "and show its output"),
    ),
    "container inspect": (
        ("stackr container inspect shop-web-1", "all that is known of it"),
        ("stackr container inspect -f '{{.State.Status}}' shop-web-1", "one value"),
    ),
    "container kill": (
        ("stackr container kill shop-web-1", "at once, with SIGKILL"),
        ("stackr container kill -s HUP shop-web-1", "another signal"),
    ),
    "container ls": (
        ("stackr container ls --filter status=exited", "those that have ended"),
        ("stackr container ls -aq", "only the IDs, for a script"),
    ),
    "container pause": (
        ("stackr container pause shop-db-1", "its processes stand still"),
        ("stackr container pause one two", "of several"),
    ),
    "container rename": (
        ("stackr container rename old new", "old has the name new now"),
        ("stackr container rename 3f1c web", "by the start of its ID"),
    ),
    "container restart": (
        ("stackr container restart shop-web-1", "stop, then start"),
        ("stackr container restart -t 30 shop-web-1", "it may take 30 seconds to stop"),
    ),
    "container rm": (
        ("stackr container rm old", "one that does not run"),
        ("stackr container rm -fv old", "stop it, and remove its anonymous volumes"),
    ),
    "container stop": (
        ("stackr container stop shop-web-1", "ask it to end"),
        ("stackr container stop -t 30 shop-web-1", "kill it after 30 seconds"),
    ),
    "container unpause": (
        ("stackr container unpause shop-db-1", "its processes go on"),
        ("stackr container unpause one two", "of several"),
    ),
    "container wait": (
        ("stackr container wait job", "prints its exit code"),
        ("stackr container wait one two", "a code a line"),
    ),
    "inspect": (
        ("stackr inspect shop-web-1", "a container, image, network or volume"),
        ("stackr inspect --type image nginx", "only an image"),
    ),
    "engine": (
        ("stackr engine status", "does it run?"),
        ("stackr engine logs -f", "what does it say?"),
    ),
    "engine start": (
        ("stackr engine start", "in the background"),
        ("stackr engine start --data-root /srv/stackr", "with its data elsewhere"),
    ),
    "engine stop": (
        ("stackr engine stop", "containers go on"),
        ("stackr engine stop -t 1m", "it may take a minute"),
    ),
    "engine restart": (
        ("stackr engine restart", "containers go on"),
        ("stackr engine restart -t 2m", "it may take two minutes"),
    ),
    "engine status": (
        ("stackr engine status", "exit code 0 if it runs"),
        ("stackr engine status --json", "for a program"),
    ),
    "engine logs": (
        ("stackr engine logs -n 50", "the last lines"),
        ("stackr engine logs -f", "and what comes"),
    ),
    "engine run": (
        ("stackr engine run", "until Ctrl-C"),
        ("stackr engine run --insecure-registry host:5000", "a registry without TLS"),
    ),
    "engine install": (
        ("stackr engine install", "started by systemd, with the boot too"),
        ("stackr engine install --group docker --print", "only show it, for another group"),
    ),
    "engine uninstall": (
        ("stackr engine uninstall", "its data and containers stay"),
        ("stackr engine install", "set it up again"),
    ),
    "doctor": (
        ("stackr doctor", "what does this host lack?"),
        ("stackr doctor --json", "for a program"),
    ),
    "login": (
        ("stackr login registry.example.com", "asks for a name and a password"),
        ("stackr login -u ci --password-stdin host:5000", "in a script, with it on stdin"),
    ),
    "logout": (
        ("stackr logout registry.example.com", "forget its password"),
        ("stackr logout", "that of Docker Hub"),
    ),
    "system": (
        ("stackr system df", "what takes space on disk?"),
        ("stackr system prune", "remove what nothing uses"),
    ),
    "network": (
        ("stackr network ls", "all networks of the engine"),
        ("stackr network inspect shop_default", "all that is known of one"),
    ),
    "volume": (
        ("stackr volume ls", "all volumes of the engine"),
        ("stackr volume rm shop_data", "with its data"),
    ),
    "completion": (
        ('eval "$(stackr completion bash)"', "in ~/.bashrc"),
        ("stackr completion fish > ~/.config/fish/completions/stackr.fish", "once"),
    ),
    "version": (
        ("stackr version", "of stackr and of the engine"),
        ("stackr version --short", "only the number"),
    ),
}
