-- One database for each server that needs one; run once, when PostgreSQL's folder is new.
CREATE DATABASE mlflow;
CREATE DATABASE prefect;
CREATE DATABASE optuna;
