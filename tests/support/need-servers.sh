#!/bin/sh
# Finds the programs the tests start (a MariaDB or MySQL server); on Debian as root it installs them.
set -eu
need=""
command -v mariadbd >/dev/null 2>&1 || command -v mysqld >/dev/null 2>&1 || test -x /usr/sbin/mariadbd || test -x /usr/sbin/mysqld || need="$need mariadb-server"
command -v systemd-analyze >/dev/null 2>&1 || need="$need systemd"
test -x /usr/bin/chromium || command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || need="$need chromium chromium-driver"
test -z "$need" && exit 0
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing:$need"
    # The package must not start a server of its own.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    apt-get update -qq || true
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $need >/dev/null
    exit 0
fi
echo "the tests need:$need; install with your system's package manager" >&2
case "$need" in
    *mariadb*) [ "${CI:-}" = true ] && exit 1 ;;
esac
exit 0
