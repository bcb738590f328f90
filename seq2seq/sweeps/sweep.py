"""A resumable queue of runs: what is planned, trained, scored on validation and, if asked, on test text."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import join
from time import sleep
from typing import Any

from seq2seq.config import Config, TranslationConfig, changed_keys, dump_config, load_config, override_config
from seq2seq.errors import ConfigError, Seq2SeqError, TrainingError
from seq2seq.model_directory import LOCK_FILE, STAGES, TEACHERS
from seq2seq.model_directory.directory import CONFIG, read_metadata
from seq2seq.model_directory.history import read_history
from seq2seq.storage.files import atomic_write, sha256
from seq2seq.storage.locks import file_lock, is_locked
from seq2seq.sweeps.environment import environment
from seq2seq.sweeps.grid import Setting, check_distinct, refuse_seeds_of_stages
from seq2seq.sweeps.processes import explain_exit, run_process
from seq2seq.sweeps.record import RECORD, RunRecord, SweepRecord
from seq2seq.sweeps.scores import all_scores, bleu, paired_test
from seq2seq.sweeps.table import SweepTable
from seq2seq.sweeps.texts import TextFiles, keep_text, last_stage, read_test, texts_of_settings

RECIPE, LOCK = "recipe.yaml", "sweep.lock"
RUN_RECIPES = CONFIG, f"{STAGES}.yaml", f"{TEACHERS}.yaml"  # of a run; the last one that exists is the complete one
POLL = 0.1  # seconds between two looks at locks
EXIT_INTERRUPTED = 130  # of a command that has saved
SHOWN_SCORES = "BLEU", "loss"


def is_sweep(folder: Path) -> bool:
    """Whether a folder has a sweep."""
    return (folder / RECORD).is_file()


@dataclass
class Sweep:
    """A sweep in a folder.

    Attributes:
        folder: The folder. It has the recipe of all runs (`recipe.yaml`), the record (`sweep.jsonl`), the text on which
            the models are compared, and a model directory and a log for each run.
        recipe: The recipe, without the overrides of the settings.
        record: What has run.
        say: Function called with messages.
    """

    folder: Path
    recipe: Config
    record: SweepRecord
    say: Callable[[str], None]

    @classmethod
    def open(cls, folder: Path, say: Callable[[str], None]) -> "Sweep":
        """Read a sweep from its folder.

        Raises:
            ConfigError, ModelDirectoryError: Its recipe or its record is missing or damaged.
        """
        return cls(folder, load_config(folder / RECIPE), SweepRecord(folder), say)

    @classmethod
    def plan(
        cls,
        folder: Path,
        recipe: Config,
        settings: Sequence[Setting],
        seeds: int,
        say: Callable[[str], None],
    ) -> "Sweep":
        """Plan the runs of all settings with seeds 1 to `seeds`, and check everything that can be checked before them.

        A folder that has runs already gets those that it lacks.

        Raises:
            ConfigError: A setting is not a valid recipe or is the same as another one, settings validate or are tested
                on different text, a stage has a seed of its own, or the folder has a model, or a sweep of a different
                recipe or of text that has changed since.
            CorpusError: A corpus cannot be read.
            ModelDirectoryError: The record is damaged.
        """
        if is_sweep(folder):
            started = load_config(folder / RECIPE)
            if changed := changed_keys(started, recipe):
                raise ConfigError(
                    f"{folder}: has a sweep of a different recipe; changed: {', '.join(changed)}. "
                    "Give another --output."
                )
        elif any((folder / name).exists() for name in RUN_RECIPES):
            raise ConfigError(f"{folder}: has a model. Give another --output for the sweep.")
        sweep = cls(folder, recipe, SweepRecord(folder), say)
        known = dict.fromkeys([*(Setting(run.overrides) for run in sweep.record.runs.values()), *settings])
        configs = {one.label: override_config(recipe, one.overrides, one.label) for one in known}
        check_distinct(configs)
        refuse_seeds_of_stages(configs.values())
        texts = texts_of_settings({one.label: configs[one.label] for one in settings})
        sweep._check_training_text({label: one.train for label, one in texts.items()})
        folder.mkdir(parents=True, exist_ok=True)
        _, valid, test = next(iter(texts.values()))
        keep_text(folder, "valid", valid, recipe)
        if test is not None:
            keep_text(folder, "test", test, recipe)
        if not is_sweep(folder):
            with atomic_write(folder / RECIPE) as partial:
                partial.write_text(dump_config(recipe), encoding="utf-8")
        for seed in range(1, seeds + 1):
            for setting in settings:
                if (name := setting.run_name(seed)) not in sweep.record.runs:
                    run = RunRecord(name, setting.overrides, seed, (), texts[setting.label].train)
                    sweep.record.append(replace(run, commands=(_shell(sweep._train_arguments(run)),)))
        return sweep

    def _check_training_text(self, found: Mapping[str, str]) -> None:
        """Check that settings train on the text of their earlier runs, given its checksums by their labels."""
        for run in self.record.runs.values():
            label = Setting(run.overrides).label
            if found.get(label, run.training_text) != run.training_text:
                raise ConfigError(
                    f"{self.folder}: data.train of '{label}' has other text than when {run.name} was planned, so their "
                    "scores could not be compared. Restore its text, or give another --output."
                )

    def _train_arguments(self, run: RunRecord) -> list[str]:
        sets = [part for override in (*run.overrides, f"seed={run.seed}") for part in ("--set", override)]
        return ["train", str(self.folder / RECIPE), *sets, "--output", str(self.folder / run.name)]

    def run(self, settings: Sequence[Setting], seeds: int) -> int:
        """Train and score the runs that are not done: all settings with a seed, then all with the next one.

        Returns:
            The number of runs that failed, whose errors are in the record.

        Raises:
            TrainingError: Another process runs a sweep in the folder.
            KeyboardInterrupt: The sweep was interrupted; the current run has saved, and `run` resumes it.
        """
        names = [setting.run_name(seed) for seed in range(1, seeds + 1) for setting in settings]
        with self._lock():
            for number, name in enumerate(names, start=1):
                run = self.record.runs[name]
                if run.state != "done":
                    self.say(f"run {number} of {len(names)}: {name} (log: {self._log(run)})")
                    self._train(run)
        return sum(self.record.runs[name].state == "failed" for name in names)

    def test(self) -> None:
        """Translate the test corpus with the best setting and the first one, and score it; what is done is kept.

        Raises:
            ConfigError: There is no setting of which all runs are done, or no test corpus, or the model does not
                translate.
            TrainingError: A translation failed; or see `run`.
        """
        if not isinstance(self.recipe, TranslationConfig):
            raise ConfigError(f"--test: a model of `task: {self.recipe.task}` does not translate.")
        table = SweepTable(self.record.runs.values())
        if table.best is None or not table.settings[0].is_done:
            raise ConfigError(
                f"{self.folder}: --test compares the best setting with the first; neither may lack a run. Complete "
                "them first, by the command of the sweep without --test."
            )
        overrides = table.settings[0].runs[0].overrides
        if (pairs := read_test(override_config(self.recipe, overrides))) is None:
            raise ConfigError(
                "--test: the recipe has no data.test. Start the sweep with --set data.test='{tsv: test.tsv}'."
            )
        keep_text(self.folder, "test", pairs, self.recipe)
        with self._lock():
            first = {run.seed: run for run in table.settings[0].runs}
            for setting in dict.fromkeys([table.settings[0].label, table.best.label]):
                for run in table.by_label[setting].runs:
                    if not run.test:
                        self._test(run, first.get(run.seed, run))

    def _test(self, run: RunRecord, first: RunRecord) -> None:
        files, hypotheses, commands = self._translate(run, "test")
        scores = all_scores(hypotheses, files, self._language)
        if run.name != first.name:
            baseline = self.folder / first.name / hypotheses.name
            scores |= paired_test(hypotheses, baseline, files, self._language)
            commands.append(self._scoring("compare", files, str(baseline), str(hypotheses)))
        self.record.append(replace(run, test=scores, commands=(*run.commands, *commands)))

    def _train(self, run: RunRecord) -> None:
        """Train and score a run, and record how it ended."""
        arguments = self._train_arguments(run)
        run = replace(run, state="running", error=None, commands=(_shell(arguments),), environment=environment())
        self.record.append(run)
        try:
            self._train_alone(arguments, run)
            ended = replace(self._validate(run), state="done")
        except KeyboardInterrupt:
            self.record.append(replace(run, state="interrupted", **self._facts(run)))
            raise
        except Seq2SeqError as error:
            ended = replace(run, state="failed", error=str(error))
            self.say(f"failed: {run.name}: {error}")
        self.record.append(replace(ended, **self._facts(run)))
        if ended.state == "done":
            self.say(
                ", ".join(f"{name} {value:.4g}" for name, value in ended.validation.items() if name in SHOWN_SCORES)
            )

    def _train_alone(self, arguments: Sequence[str], run: RunRecord) -> None:
        """Run the command that trains, when no other process trains into its folder.

        A sweep that was killed may have left one, which holds no lock while it starts.
        """
        lock = self.folder / run.name / LOCK_FILE
        while True:
            if is_locked(lock):
                self.say("waiting until no other process trains into its folder")
            while is_locked(lock):
                sleep(POLL)
            try:
                self._run(arguments, run)
            except TrainingError:
                if not is_locked(lock):
                    raise
            else:
                return

    def _validate(self, run: RunRecord) -> RunRecord:
        """A trained run with its validation scores."""
        scores = {"loss": read_metadata(self.folder / run.name)["scores"]["validation"]["valid_loss"]}
        if not isinstance(self.recipe, TranslationConfig):
            return replace(run, validation=scores)
        files, hypotheses, commands = self._translate(run, "valid")
        scores |= bleu(hypotheses, files, self._language)
        return replace(run, validation=scores, commands=(*run.commands, *commands))

    @property
    def _language(self) -> str | None:
        """The target language."""
        return last_stage(self.recipe).languages[1]

    def _translate(self, run: RunRecord, name: str) -> tuple[TextFiles, Path, list[str]]:
        """Translate `valid` or `test` with the model of a run, into its folder.

        Returns:
            The text; the translations; and the commands that translate and score it.
        """
        folder, files = self.folder / run.name, TextFiles.of(self.folder, name)
        output = folder / f"{name}.hypotheses"
        arguments = ["translate", str(folder), "-i", str(files.source), "-o", str(output), "--quiet"]
        self._run(arguments, run)
        return files, output, [_shell(arguments), self._scoring("evaluate", files, "--hypotheses", str(output))]

    def _scoring(self, command: str, files: TextFiles, *arguments: str) -> str:
        """A command that prints scores of translations."""
        language = [] if self._language is None else ["--target-language", self._language]
        return _shell([command, *arguments, "--reference", str(files.reference), *language])

    def _run(self, arguments: Sequence[str], run: RunRecord) -> None:
        """Run a command.

        Raises:
            TrainingError: It failed.
            KeyboardInterrupt: It was interrupted.
        """
        log = self._log(run)
        begin = log.stat().st_size if log.exists() else 0
        code = run_process(arguments, log)
        if code == EXIT_INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise TrainingError(f"{explain_exit(code, log, begin)} (log: {log})")

    def _log(self, run: RunRecord) -> Path:
        return self.folder / f"{run.name}.log"

    def _facts(self, run: RunRecord) -> dict[str, Any]:
        """The recipe of a run and, from its first validation on, its number of parameters and CPU minutes so far."""
        folder, facts = self.folder / run.name, dict[str, Any]()
        for name in RUN_RECIPES:
            if (recipe := folder / name).exists():
                facts |= {"recipe": recipe.relative_to(self.folder).as_posix(), "recipe_sha256": sha256(recipe)}
        with suppress(Seq2SeqError, KeyError):
            if histories := [found for one in _parts(folder) if (found := read_history(one))]:
                facts["cpu_minutes"] = round(sum(history[-1]["cpu_seconds"] for history in histories) / 60, 2)
            facts["parameters"] = read_metadata(folder)["parameters"]
        return facts

    def _lock(self) -> Any:
        return file_lock(
            self.folder / LOCK,
            lambda process: TrainingError(
                f"{self.folder}: process {process} runs this sweep. Wait for it or end it, or give another --output."
            ),
        )


def _parts(folder: Path) -> list[Path]:
    """The directories of a run: those of its stages or teachers, and its own."""
    return [*folder.glob(f"{STAGES}/[0-9]*"), *folder.glob(f"{TEACHERS}/[0-9]*"), folder]


def _shell(arguments: Sequence[str]) -> str:
    """A command as it is written in a shell."""
    return join(["seq2seq", *arguments])
