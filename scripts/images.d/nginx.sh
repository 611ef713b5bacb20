# shellcheck shell=sh
# nginx, laid out as the public image: sites in /etc/nginx/conf.d, pages in /usr/share/nginx/html,
# logs on stdout and stderr.
parent=base

build() {
    install_into_rootfs nginx
    rm -f "$rootfs/etc/nginx/sites-enabled/default"
    commit_layer "nginx"
    cat >"$rootfs/etc/nginx/conf.d/default.conf" <<'CONF'
server {
    listen 80;
    root /usr/share/nginx/html;
}
CONF
    ln -sf /dev/stdout "$rootfs/var/log/nginx/access.log"
    ln -sf /dev/stderr "$rootfs/var/log/nginx/error.log"
    commit_layer "a default site, and the logs to the container's output"
    configure --config.exposedports 80/tcp --config.stopsignal SIGQUIT --clear config.cmd \
        --config.cmd nginx --config.cmd -g --config.cmd 'daemon off;'
}
