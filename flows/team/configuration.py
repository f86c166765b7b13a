"""The files that nginx and supervisor read."""

from collections.abc import Mapping

from digits.core import process
from flows.team import programs, secrets
from flows.team.settings import Settings

# Websockets are Prefect's events. The sockets are relative to the folder: their length is limited.
NGINX = """
{user}
daemon off;
worker_processes 1;
pid run/nginx.pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    server_tokens off;
    auth_basic digits;
    auth_basic_user_file {folder}/secrets/htpasswd;
    client_body_temp_path run/body;
    proxy_temp_path run/proxy;
    fastcgi_temp_path run/fastcgi;
    uwsgi_temp_path run/uwsgi;
    scgi_temp_path run/scgi;
    client_max_body_size 4g;
    proxy_request_buffering off;
    proxy_read_timeout 1h;
    proxy_http_version 1.1;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header Authorization '';
    server {{
        listen 127.0.0.1:{mlflow};
        location / {{ proxy_pass http://unix:run/mlflow.sock; }}
    }}
    server {{
        listen 127.0.0.1:{prefect};
        location / {{ proxy_pass http://unix:run/prefect.sock; }}
    }}
}}
"""
SUPERVISOR = """
[supervisord]
directory = {folder}
logfile = {folder}/logs/supervisor.log
logfile_maxbytes = 1MB
pidfile = {folder}/run/supervisor.pid
childlogdir = {folder}/logs
umask = 077
[unix_http_server]
file = {folder}/run/supervisor.sock
chmod = 0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
PROGRAM = """
[program:{name}]
command = {command}
directory = {directory}
environment = {environment}
{owner}
autostart = false
autorestart = true
startretries = 1000000
stopsignal = {stop}
stopwaitsecs = 20
stopasgroup = {group}
killasgroup = true
redirect_stderr = true
stdout_logfile = {folder}/logs/{name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 1
"""


def write(settings: Settings, made: secrets.Passwords) -> None:
    """Write the configuration of both, and for containers each program's variables."""
    user = "user root;" if programs.owner() else ""  # else nginx could not reach the sockets
    ports = {name: settings.port(name) for name in ("mlflow", "prefect")}
    conf = NGINX.format(user=user, folder=settings.folder, **ports)
    secrets.write(settings.folder / "nginx.conf", conf.lstrip())
    sections = [SUPERVISOR.format(folder=settings.folder)]
    for name, program in programs.programs(settings, made).items():
        environment = _environment(settings, program)
        sections.append(_section(settings, name, program, environment))
        lines = "".join(f"{key}='{value}'\n" for key, value in environment.items())
        secrets.write(settings.secrets / f"{name}.env", lines)
    secrets.write(settings.secrets / "supervisor.conf", "".join(sections))


def _environment(settings: Settings, program: programs.Program) -> dict[str, str]:
    mark = {programs.MARK: str(settings.folder)}
    return {**process.ENVIRONMENT, **mark, **program.environment}


def _section(
    settings: Settings, name: str, program: programs.Program, environment: Mapping[str, str]
) -> str:
    postgres = name == "postgres"
    return PROGRAM.format(
        name=name,
        command=program.command,
        directory=program.folder,
        environment=",".join(f"{key}={_quoted(value)}" for key, value in environment.items()),
        owner=f"user = {programs.owner()}" if postgres and programs.owner() else "",
        stop="INT" if postgres else "TERM",
        group=str(not postgres).lower(),  # its children obey their parent
        folder=settings.folder,
    )


def _quoted(text: str) -> str:
    """For supervisor, which knows no escaped quotes in a list of variables."""
    return "'" + text.replace("%", "%%") + "'"
