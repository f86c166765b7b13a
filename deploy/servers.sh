#!/bin/bash
# Start and end servers on this machine: deploy/servers.sh up | down | team | team-down.
# honcho runs a Procfile in the background; if one of its servers ends, all end. `up` starts what one
# person needs, `team` what a team has. All listen on 127.0.0.1.
set -euo pipefail
shopt -s nullglob

fail() { # EXIT_CODE MESSAGE
    echo "error: $2" >&2
    exit "$1"
}

listens() { # PORT
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

check_port() { # VARIABLE PORT
    [[ $2 =~ ^[0-9]{1,5}$ ]] && ((0 < 10#$2 && 10#$2 < 65536)) ||
        fail 2 "$1: '$2' is no port; 1 to 65535 is allowed"
    ! listens "$2" || fail 6 "port $2 is taken; choose another with make $target $1=…"
}

is_up() { # a zombie's command does not match; -ww, else COLUMNS cuts a long one
    [ -e $folder/servers.pid ] &&
        [[ $(ps -ww -p "$(cat $folder/servers.pid)" -o command=) == *honcho*start* ]]
}

end() {
    ! is_up || kill "$(cat $folder/servers.pid)"
    for _ in {1..120}; do
        is_up || return 0
        sleep 0.5
    done
    fail 6 "what make $target started does not end; see $log"
}

start() { # PROCFILE, then NAME and PORT of each server
    trap 'trap - EXIT; end' EXIT # unless all goes well
    trap 'exit 130' INT && trap 'exit 143' TERM
    : >"$log"
    rm -f $folder/deployed
    set -m # a process group of its own, else Ctrl-C would end it whenever it is pressed here
    nohup honcho --no-colour -f "deploy/$1" start >>"$log" 2>&1 </dev/null &
    honcho=$!
    echo $honcho >$folder/servers.pid
    set +m
    SECONDS=0
    shift
    until [ $# -eq 0 ]; do
        if listens "$2"; then
            printf '%-11s127.0.0.1:%s\n' "$1" "$2"
            shift 2
            continue
        fi
        sleep 0.2
        # not is_up: until the shell has become honcho, its command is another
        kill -0 $honcho 2>/dev/null && ((SECONDS < 300)) || fail 4 "$1 does not answer; see $log"
        set -- "${@:3}" "$1" "$2" # another one may answer first
    done
    echo "registering the deployments of prefect.yaml"
    deploy >>"$log" 2>&1 || fail 4 "Prefect did not take the deployments; see $log"
    : >$folder/deployed # for this the worker waits
    printf '%-11spool %s\n' Worker "$PROJECT"
    trap - EXIT
}

deploy() { # the work pool, the deployments of prefect.yaml, and automations that are missing
    prefect work-pool create "$PROJECT" --type process || true # it may be there
    prefect deploy --all || return
    for file in deploy/automations/*.yaml; do
        prefect automation inspect "$(sed -n 's/^name: *//p' "$file")" ||
            prefect automation create --from-file "$file" || return
    done
}

up() {
    export MLFLOW_PORT=${MLFLOW_PORT:-5000} PREFECT_PORT=${PREFECT_PORT:-4200} \
        PAGES_PORT=${PAGES_PORT:-4280}
    for name in MLFLOW_PORT PREFECT_PORT PAGES_PORT; do check_port $name "${!name}"; done
    export PREFECT_API_URL=http://127.0.0.1:$PREFECT_PORT/api
    digits restore # before the servers start: two that create the tracking store at once spoil it
    page=$(MLFLOW_TRACKING_URI='' digits ui "$MLFLOW_PORT")
    start Procfile.up MLflow "$MLFLOW_PORT" Prefect "$PREFECT_PORT" Pages "$PAGES_PORT"
    prefect config set "PREFECT_API_URL=$PREFECT_API_URL" >>"$log" 2>&1
    echo "$page"
    echo "prefect deployment run train/$PROJECT-train --watch"
}

team() {
    [ "$(command -v initdb || echo /usr/lib/postgresql/*/bin/initdb)" ] ||
        fail 4 'PostgreSQL: not found: apt-get install postgresql'
    check_port TEAM_PORT "${TEAM_PORT:=15000}"
    for more in 1 2 3 4; do check_port TEAM_PORT $((TEAM_PORT + more)); done
    mkdir -p -m 700 .team/s3
    chmod 711 .team # PostgreSQL's user must reach its own folder
    [ -e .team/.env ] || make_passwords
    {
        echo "TEAM_PORT=$TEAM_PORT"
        printf '. %q\n' "$PWD/.team/.env"
        printf 'set -a\n. %q\nset +a\n' "$PWD/deploy/team.env"
    } >.team/env
    . .team/env
    start Procfile PostgreSQL "$PGPORT" S3 "$S3_PORT" Dask "$DASK_PORT" MLflow "$MLFLOW_PORT" \
        Prefect "$PREFECT_PORT"
    echo '`. .team/env` sets addresses and passwords; `make team-down` ends all'
}

make_passwords() {
    install -m 600 /dev/null .team/.env
    for name in LOGIN POSTGRES S3_ID S3 FLASK VOLUME VOLUME_READ FILER FILER_READ; do
        echo "${name}_SECRET=$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')"
    done >.team/.env
}

target=$1
case $target in *team*) folder=.team stop=team-down ;; *) folder=.state stop=down ;; esac
log=$folder/servers.log
no_proxy=${no_proxy:-${NO_PROXY:-127.0.0.1,localhost}} # a proxy of the network reaches no server here
export no_proxy DO_NOT_TRACK=true MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false PROJECT
if [ "$target" = $stop ]; then
    is_up || echo 'nothing is up'
    end
    [ $stop = team-down ] || prefect config unset -y PREFECT_API_URL >/dev/null 2>&1 || true
else
    ! is_up || fail 6 "already up; see make $stop"
    echo "starting, which takes one to three minutes; $log says more"
    mkdir -p $folder .prefect artifacts
    PROJECT=$(python -c 'from digits.project import load_project; print(load_project().name)')
    "$target"
fi
