package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// The command finetune: a file of labelled sentences or of questions becomes the
// cases of a task, a pre-trained model one for the task, and while it learns, a
// line tells of each epoch.

// tuneTasks are what finetune's -task may be, and Config.Task for it.
var tuneTasks = map[string]string{"classify": oneLabel, "regress": aNumber, "multilabel": severalLabels, "tag": tagging, "answer": answering}

const taskHelp = `what is learnt, and from what:
classify    one label for a sentence or a pair: label<TAB>sentence[<TAB>sentence] a line, or a .csv or .jsonl
regress     a number for it, in the place of the label
multilabel  several labels, with commas between them, or a column of 1 and 0 for each
tag         a label for each word: word label a line, an empty line after each sentence; or a .jsonl
answer      answers to questions: SQuAD's JSON`

// maxEpochs times as many steps as there may be batches can still be counted.
const maxEpochs = 1 << 20

// tuneFlags are the flags of finetune.
type tuneFlags struct {
	model, task, train, eval, out  string
	freeze, scratch, study, asJSON bool
	onTraining                     bool  // there is too little to hold some out
	rounded                        *bool // -bf16
	epochs, seeds                  int
	dropout                        float64
	settings                       Settings
	limits                         func(m *Model, maxSeq int) (Limits, error)
	format                         LabelledFormat
}

func (c *call) tuneFlags() *tuneFlags {
	f := &tuneFlags{settings: TuneSettings()}
	s := &f.settings
	c.flags.StringVar(&f.model, "model", "", "folder `DIR` of the model to begin with")
	c.flags.StringVar(&f.task, "task", "", taskHelp)
	c.flags.StringVar(&f.train, "train", "", "`FILE` to train on, or - for standard input")
	c.flags.StringVar(&f.eval, "eval", "", "`FILE` to evaluate on (otherwise a tenth of -train is held out)")
	c.flags.StringVar(&f.format.Label, "label-column", "", "`COLUMN` of the label, by name or by number from 1 (otherwise it is to be found); with -task multilabel also several, of 1 and 0")
	c.flags.StringVar(&f.format.Text, "text-column", "", "`COLUMN` of the sentence, or of the word")
	c.flags.StringVar(&f.format.Pair, "pair-column", "", "`COLUMN` of the second sentence of a pair")
	c.flags.StringVar(&f.format.Header, "header", "", "yes or no: whether the first line has the names of the columns")
	c.flags.StringVar(&f.out, "out", "", "model folder `DIR` to write")
	c.flags.BoolVar(&f.freeze, "freeze", false, "train the head alone, leave the encoder as it is")
	c.flags.BoolVar(&f.scratch, "scratch", false, "begin with random weights instead of the model's, to compare")
	c.flags.BoolVar(&f.study, "study", false, "write no model, but a table: with few labels and many, from scratch, frozen and fine-tuned")
	c.flags.IntVar(&f.seeds, "seeds", studySeeds, "with -study: how many times, each with another seed")
	c.flags.IntVar(&f.epochs, "epochs", tuneEpochs, "times through -train (3 are enough for thousands of examples)")
	c.flags.IntVar(&s.Batch, "batch", s.Batch, "sequences in a batch")
	c.flags.Float64Var(&s.LearningRate, "lr", 0, "highest learning rate (0: by the size, 2e-3 for the demo's model, 3e-5 for large ones)")
	c.flags.Float64Var(&s.WeightDecay, "weight-decay", s.WeightDecay, "of matrices")
	c.flags.Float64Var(&f.dropout, "dropout", tuneDropout, "dropout in training")
	c.flags.Uint64Var(&s.Seed, "seed", s.Seed, "seed of everything that is random")
	f.rounded = c.bf16Flag()
	c.flags.BoolVar(&f.asJSON, "json", false, "write the score as a JSON object")
	f.limits = c.limitFlags()
	return f
}

// check returns an error that names the first flag with an impossible value.
func (f *tuneFlags) check() error {
	s := f.settings
	s.Complete()
	switch {
	case tuneTasks[f.task] == "":
		return usagef("-task is %q, want classify, regress, multilabel, tag or answer", f.task)
	case f.format.Header != "" && f.format.Header != "yes" && f.format.Header != "no":
		return usagef("-header is %q, want yes or no", f.format.Header)
	case f.format.Header != "" && FormatOf(f.train) == "json":
		return usagef("-header is %q, but %s is JSON, which has no line of names", f.format.Header, f.train)
	case !f.study && f.out == "":
		return usagef("-out is missing")
	case f.train == "-" && f.eval == "-":
		return usagef("-train and -eval are both -, and standard input has its text only once")
	case f.freeze && f.scratch:
		return usagef("-freeze and -scratch together would train a head on an encoder that knows nothing")
	case f.epochs < 1 || f.epochs > maxEpochs:
		return usagef("-epochs is %d, want 1 to %d", f.epochs, maxEpochs)
	case f.seeds < 1:
		return usagef("-seeds is %d, want 1 or more", f.seeds)
	case !(f.dropout >= 0 && f.dropout < 1):
		return usagef("-dropout is %v, want at least 0 and below 1", f.dropout)
	}
	if err := s.Check(); err != nil {
		return usageError(err.Error())
	}
	return nil
}

// A task is what the files of finetune come to.
type task struct {
	config   Config // of the model for it
	cases    []Case // to train on
	test     []Case // to test on; a question is not one, but some
	sample   []Case // a few of those that are not trained on, to show
	pairs    bool   // of sentences
	evaluate func(m *Model) Score
}

func finetune(c *call) error {
	f := c.tuneFlags()
	if err := c.parse(0, "model", "train"); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	defer c.useBF16(*f.rounded)()
	if !f.study {
		release, err := c.claim(f.out)
		if err != nil {
			return err
		}
		defer release()
		if err := mustBeFree(f.out); err != nil {
			return err
		}
	}
	from, t, err := c.loadModel(f.model)
	if err == nil && !f.study {
		err = roomFor(f.out, &from.Config, 2, "the best epoch and, before it goes, a better one")
	}
	if err != nil {
		return err
	}
	task, err := c.readTask(f, from, t)
	if err != nil {
		return err
	}
	task.config.HiddenDropout, task.config.AttentionDropout, task.config.ClassifierDropout = f.dropout, f.dropout, nil
	if f.settings.LearningRate == 0 {
		f.settings.LearningRate = TuneRate(from.Config.HiddenSize)
	}
	if err := mustFitTuning(&task.config, task.cases, f.settings.Batch); err != nil {
		return err
	}
	if f.study {
		return c.study(f, from, task)
	}
	var m *Model
	if f.scratch {
		m, err = NewModel(task.config, f.settings.Seed)
	} else {
		m, err = Transfer(from, task.config, f.settings.Seed, task.pairs)
	}
	if err != nil {
		return err
	}
	if !f.scratch && from.Config.Architecture() != preTraining { // it has a head
		c.noteHead(f.model, &from.Config, &task.config)
	}
	return c.tune(f, m, t, task)
}

// noteHead says whether the head of a model of a task goes on in the new one.
func (c *call) noteHead(dir string, was, is *Config) {
	switch {
	case KeepsHead(was, is):
		c.note("the head of %s is kept", dir)
	case was.Task() != is.Task():
		for name, task := range tuneTasks {
			if task == was.Task() {
				c.note("the head is new: that of %s is for -task %s", dir, name)
			}
		}
	default:
		c.note("the head is new: the labels of %s are others, or in another order: %s", dir, QuotedList(was.Labels()))
	}
}

// tune trains, saves the model as it is after each epoch that is the best so far, and writes
// the score of the last that was: a little too good a score, since by it the epoch was chosen.
func (c *call) tune(f *tuneFlags, m *Model, t *Tokenizer, task *task) error {
	ctx, stop := c.untilInterrupted()
	defer stop()
	metrics, err := os.Create(filepath.Join(f.out, metricsFile))
	if err != nil {
		return err
	}
	defer metrics.Close()
	report := c.newReporter(f.out, m, t)
	tuner := &Tuner{Model: m, Cases: task.cases, Settings: f.settings, Epochs: f.epochs, Freeze: f.freeze}
	tuner.SetSteps()
	report.goOnFrom(f.model)
	report.OnTraining = f.onTraining
	report.begin(&tuner.Settings, task.sample)
	report.follow(report.Pair, Case{})
	best := 0
	var score, bestScore Score
	tuner.Evaluate = func() float64 {
		score = task.evaluate(m)
		main, _ := score.Main()
		return main
	}
	tuner.OnEpoch = func(r Epoch) error {
		if r.Best {
			if err := SaveModel(f.out, m, t); err != nil {
				return err
			}
			best, bestScore = r.Epoch, score
			report.score(score)
		}
		line := fmt.Sprintf("epoch %*d/%d  loss %.3f", len(fmt.Sprint(f.epochs)), r.Epoch, f.epochs, r.Loss)
		if m.Config.Task() != aNumber {
			line += fmt.Sprintf("  right %5.1f%%", 100*r.Accuracy)
		}
		_, name := score.Main() // not always of what is right in training
		c.note("%s  held out %5.1f%% %s", line, 100*r.Score, name)
		err := appendJSON(metrics, r)
		if r.Best {
			report.write(false)
		}
		return err
	}
	err = tuner.Train(ctx)
	if best > 0 {
		report.write(true)
		c.note("saved %s, as it was after epoch %d", f.out, best)
	} else if errors.Is(err, errInterrupted) {
		err = fmt.Errorf("%w in the first epoch: no model is saved", err)
	}
	switch {
	case err != nil:
		return err
	case f.asJSON:
		return json.NewEncoder(c.stdout).Encode(bestScore)
	}
	bestScore.Write(c.stdout)
	return nil
}

// study writes the table of the transfer study.
func (c *call) study(f *tuneFlags, from *Model, task *task) error {
	s := &Study{Pretrained: from, Config: task.config, Settings: f.settings, Epochs: f.epochs, Seeds: f.seeds, Cases: task.cases, Test: task.test, Pairs: task.pairs}
	if err := s.Check(); err != nil {
		return wrap(f.train, err)
	}
	if kind := task.config.Task(); kind != oneLabel {
		_, name := measures[kind](&task.config, nil, nil).Main()
		c.note("the score is %s, in per cent; \"labels\" are sentences that have theirs", name)
	}
	if !f.asJSON {
		fmt.Fprintln(c.stdout, studyHeader)
	}
	return s.Run(func(r StudyRow) error {
		if f.asJSON {
			return json.NewEncoder(c.stdout).Encode(r)
		}
		_, err := fmt.Fprintln(c.stdout, r)
		return err
	})
}

// readTask reads the files of a task.
func (c *call) readTask(f *tuneFlags, from *Model, t *Tokenizer) (*task, error) {
	config := from.Config
	config.ID2Label, config.Label2ID, config.ProblemType = nil, nil, ""
	f.format.Task = tuneTasks[f.task]
	maxSeq := classifySeq
	if f.format.Task == answering {
		maxSeq = answerSeq
	}
	l, err := f.limits(from, maxSeq)
	if err != nil {
		return nil, err
	}
	f.settings.MaxSeq = l.MaxSeq
	switch f.format.Task {
	case answering:
		config.SetTask(answering, nil)
		return c.readAnswerTask(f, config, t, l)
	case tagging:
		return c.readTagTask(f, config, t, l.MaxSeq)
	}
	return c.readSentenceTask(f, config, t, l.MaxSeq)
}

// readSentenceTask is readTask for what is learnt of a sentence or a pair as a whole.
func (c *call) readSentenceTask(f *tuneFlags, config Config, t *Tokenizer, maxSeq int) (*task, error) {
	var put func(c *Case, l *Labelled) error
	learn := func(config *Config, list []Labelled) (err error) {
		put, err = sentenceTasks[f.format.Task](config, list)
		return err
	}
	casesOf := func(config *Config, name string, list []Labelled) ([]Case, error) {
		cases, cut, err := SentenceCases(t, list, UnitOf(FormatOf(name)), put, maxSeq)
		if cut > 0 {
			c.note("%s: %d of %d have more than %d tokens, and were cut", inputName(name), cut, len(list), maxSeq)
		}
		return cases, err
	}
	return readLabelled(c, f, config, "rows", LabelledFormat.Read, learn, casesOf)
}

// readTagTask is readTask for labels of words.
func (c *call) readTagTask(f *tuneFlags, config Config, t *Tokenizer, maxSeq int) (*task, error) {
	learn := func(config *Config, list []Tagged) error {
		labels, err := TagsOf(list)
		config.SetTask(tagging, labels)
		return err
	}
	casesOf := func(config *Config, name string, list []Tagged) ([]Case, error) {
		cases, cut, none, err := TagCases(t, list, UnitOf(FormatOf(name)), config.Labels(), maxSeq)
		if cut+none > 0 {
			c.note("%s: %d words are left out: %d beyond the first %d tokens of a sentence, %d without a token", inputName(name), cut+none, cut, maxSeq, none)
		}
		return cases, err
	}
	return readLabelled(c, f, config, "sentences", LabelledFormat.ReadTagged, learn, casesOf)
}

// readOne reads one file, and says what was read as what.
func readOne[T any](c *call, f *tuneFlags, name, unit string, read func(LabelledFormat, io.Reader) ([]T, string, error)) ([]T, string, error) {
	format, columns := f.format, ""
	format.Kind = FormatOf(name)
	list, err := readInput(c, name, func(r io.Reader) (list []T, err error) {
		list, columns, err = read(format, r)
		return list, err
	})
	return list, fmt.Sprintf("%s: %s; %d %s", name, columns, len(list), unit), err
}

// readLabelled reads what to train on, from which learn learns the labels, and what is held out;
// casesOf makes the cases. It says what was read as what.
func readLabelled[T any](c *call, f *tuneFlags, config Config, unit string,
	read func(LabelledFormat, io.Reader) ([]T, string, error),
	learn func(config *Config, list []T) error,
	casesOf func(config *Config, name string, list []T) ([]Case, error),
) (*task, error) {
	list, found, err := readOne(c, f, f.train, unit, read)
	if err != nil {
		return nil, err
	}
	if err := learn(&config, list); err != nil {
		return nil, wrap(f.train, err)
	}
	if config.Task() != aNumber {
		found += fmt.Sprintf(", %d labels: %s", config.Outputs(), QuotedList(config.Labels()))
	}
	var heldOut []T
	if f.eval != "" {
		var more string
		if heldOut, more, err = readOne(c, f, f.eval, unit, read); err != nil {
			return nil, err
		}
		found += "\n" + more
	} else if !f.study {
		list, heldOut = holdOut(c, list, f)
	}
	if config.Task() == tagging && !AreEntities(config.Labels()) {
		found += "\nthe labels do not begin with B- or I-, and are scored word by word, not as entities"
	}
	task := &task{config: config}
	task.evaluate = func(m *Model) Score { return m.ScoreOf(task.test) }
	if task.cases, err = casesOf(&config, f.train, list); err != nil {
		return nil, wrap(f.train, err)
	}
	from := cmp.Or(f.eval, f.train)
	if task.test, err = casesOf(&config, from, heldOut); err != nil {
		return nil, wrap(from, err)
	}
	if len(task.cases) == 0 || len(task.test) == 0 && !f.study {
		return nil, fmt.Errorf("%s: no word has a token", inputName(f.train))
	}
	task.sample = task.test[:min(shownCases, len(task.test))]
	task.pairs = slices.ContainsFunc(task.cases, func(c Case) bool { return slices.Contains(c.Segments, 1) })
	c.note("%s", found)
	return task, nil
}

func (c *call) readAnswerTask(f *tuneFlags, config Config, t *Tokenizer, l Limits) (*task, error) {
	read := func(name string) ([]Question, error) {
		list, err := readInput(c, name, func(r io.Reader) ([]Question, error) { return ReadSQuAD(r, t) })
		if err == nil {
			c.note("%s: %s", inputName(name), AboutQuestions(list))
		}
		return list, err
	}
	list, err := read(f.train)
	if err != nil {
		return nil, err
	}
	var heldOut []Question
	if f.eval != "" {
		heldOut, err = read(f.eval)
	} else {
		list, heldOut = holdOut(c, list, f)
	}
	if err != nil {
		return nil, err
	}
	var sample []Case
	for _, c := range AnswerCases(t, heldOut[:min(20, len(heldOut))], l) {
		if c.Labels[0] > 0 && len(sample) < shownCases { // the answer is in it
			sample = append(sample, c)
		}
	}
	return &task{config: config, cases: AnswerCases(t, list, l), sample: sample, evaluate: func(m *Model) Score {
		score := m.AnswerScore(t, heldOut, l)
		return &score
	}}, nil
}

// holdOut draws a tenth of a list, which is not trained on. Of fewer than 10 that
// would tell nothing: there all are trained and tried on.
func holdOut[T any](c *call, list []T, f *tuneFlags) (training, heldOut []T) {
	n := len(list) / 10
	if n == 0 {
		f.onTraining = true
		c.note("%s has %d examples, too few to hold some out: the scores are of what is trained on", inputName(f.train), len(list))
		return list, list
	}
	order := random(f.settings.Seed, forSplit).Perm(len(list))
	for i, at := range order {
		if i < n {
			heldOut = append(heldOut, list[at])
		} else {
			training = append(training, list[at])
		}
	}
	return training, heldOut
}
