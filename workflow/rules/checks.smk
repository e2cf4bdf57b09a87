# Before the first job of a real run, and after a failed one.  A workflow that uses this one as a module has its own.
import re


onstart:
    stop_without_gpu()
    stop_without_potential()
    stop_before_training_again()


onerror:
    say_where_the_logs_are()


def rule_of(job):
    """Name of the rule of a job, without the seed of its run where there are several (seeds.smk)."""
    return re.sub(r"^seed\d+_", "", job.rule.name)


def stop_without_gpu():
    """End a real run of a training that a CPU cannot finish, before its first job."""
    wants_gpu = RUN.device == "auto" and config_file.needs_gpu(CONFIG["model"], CONFIG["training"])
    if not wants_gpu or workflow.touch or not workflow.local_exec:  # a cluster's login node has no GPU either
        return
    if any(rule_of(job) == "train_part" for job in workflow.dag.needrun_jobs()):
        import torch

        if not torch.cuda.is_available():
            raise WorkflowError(
                "This configuration trains at paper scale, and there is no CUDA device here.  On a CPU use"
                " `--configfile config/cpu.yaml` (MP-20, an hour and a half) or `config/quickstart.yaml` (minutes);"
                " to train at this scale on a CPU all the same, for days, add `--config device=cpu`."
            )


def stop_without_potential():
    """End a real run whose potentials need a package that is not installed, before its first job.

    Jobs that run elsewhere, or in environments of their own, find out themselves.
    """
    if workflow.touch or not workflow.local_exec or workflow.deployment_settings.deployment_method:
        return
    planned = {rule_of(job) for job in workflow.dag.needrun_jobs()}
    if "fit_stability_model" in planned:
        from symmcd.stability_model.fitting import check_library

        try:
            check_library()
        except SymmcdError as error:
            raise WorkflowError(f"{error}; or let the shipped one choose: sampling.stability_model = mp20") from None
    if not planned & {"relax", "relax_labels", "judge", "reference", "own_reference", "reference_of_labels"}:
        return
    judges = CONFIG["judge"].potentials
    for name in dict.fromkeys((CONFIG["relax"].potential, CONFIG["hull"].source, *judges)):
        if name in POTENTIALS:
            try:
                POTENTIALS[name].check_installed()
            except SymmcdError as error:
                advice = "; or have no further judge: --config 'judge={potentials: []}'" if name in judges else ""
                raise WorkflowError(f"{error}{advice}") from None


def stop_before_training_again():
    """End a real run that would replace what took days to train for no other reason than that our code changed."""
    if workflow.touch:
        return
    again = [job for job in workflow.dag.needrun_jobs() if rule_of(job) in TRAININGS and only_code_changed(job)]
    if again:
        raise WorkflowError(
            f"{', '.join(sorted(str(job.output[0]) for job in again))}: would be trained again, as the code of symmcd that"
            " this comes from has changed.  Keep it, with all else that only the code makes old:"
            " `--rerun-triggers mtime params input software-env`.  Train again:"
            f" `--forcerun {' '.join(sorted({job.rule.name for job in again}))}`."
        )


TRAININGS = ("train_part", "predictor_variant")
OTHER_REASONS = (
    "forced missing_output incomplete_output updated_input input_changed params_changed software_stack_changed".split()
)


def only_code_changed(job):
    """Whether a planned job, and each one before it that it waits for, runs because of changed code alone."""
    dag = workflow.dag
    # Snakemake does not ask these of a job that waits for another one
    forced = job.rule in dag.forcerules or not dag.forcefiles.isdisjoint(job.output)
    if forced or not all(Path(file).exists() for file in job.output) or workflow.persistence.params_changed(job):
        return False
    planned = dag.bfs(dag.dependencies, job, stop=lambda other: not dag.needrun(other))
    reasons = [dag.reason(other) for other in planned]
    changed = any(reason.code_changed for reason in reasons)
    return changed and not any(getattr(reason, name) for reason in reasons for name in OTHER_REASONS)


def say_where_the_logs_are():
    print(
        f"The reason stands above, and at the end of a log in {RUN.results}/logs/.  The newest:"
        f" tail -n 20 $(ls -t {shlex.quote(RUN.results)}/logs/*/*.log | head -n 1)",
        file=sys.stderr,
    )
