package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// The finetune command: a file of labelled sentences or of questions becomes the
// cases of a task, a pre-trained model one for the task, and while it learns, a
// line tells of each epoch.

// tuneFlags are the flags of finetune.
type tuneFlags struct {
	model, task, train, eval, out  string
	freeze, scratch, study, asJSON bool
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
	c.flags.StringVar(&f.task, "task", "", "classify: label<TAB>sentence[<TAB>sentence] a line, or a .csv or .jsonl; answer: SQuAD's JSON")
	c.flags.StringVar(&f.train, "train", "", "`FILE` to train on, or - for standard input")
	c.flags.StringVar(&f.eval, "eval", "", "`FILE` to evaluate on (otherwise a tenth of -train is held out)")
	c.flags.StringVar(&f.format.Label, "label-column", "", "`COLUMN` of the label, by name or by number from 1 (otherwise it is to be found)")
	c.flags.StringVar(&f.format.Text, "text-column", "", "`COLUMN` of the sentence")
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
	c.flags.BoolVar(&f.asJSON, "json", false, "write the score as a JSON object")
	f.limits = c.limitFlags()
	return f
}

// check returns an error that names the first flag with an impossible value.
func (f *tuneFlags) check() error {
	s := f.settings
	s.Complete()
	switch {
	case f.task != "classify" && f.task != "answer":
		return usagef("-task is %q, want classify or answer", f.task)
	case f.task != "classify" && f.format != (LabelledFormat{}):
		return usagef("-label-column, -text-column, -pair-column and -header are for -task classify")
	case f.format.Header != "" && f.format.Header != "yes" && f.format.Header != "no":
		return usagef("-header is %q, want yes or no", f.format.Header)
	case f.study && f.task != "classify":
		return usagef("-study is for -task classify")
	case f.study && (f.freeze || f.scratch || f.out != ""):
		return usagef("-study goes without -freeze, -scratch and -out: it tries all and writes no model")
	case !f.study && f.out == "":
		return usagef("-out is missing")
	case f.freeze && f.scratch:
		return usagef("-freeze and -scratch together would train a head on an encoder that knows nothing")
	case f.epochs < 1:
		return usagef("-epochs is %d, want 1 or more", f.epochs)
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
	test     []Case // labelled sentences to test on
	pairs    bool   // of sentences
	evaluate func(m *Model) (score float64, all result)
}

// A result is a ClassScore or an AnswerScore.
type result interface{ Write(w io.Writer) }

// Write writes the score, and the table with a row for each right label.
func (s *ClassScore) Write(w io.Writer) {
	fmt.Fprintf(w, "accuracy %.1f%%   macro F1 %.1f%%   Matthews %.3f   (%d sentences)\n\n", 100*s.Accuracy, 100*s.MacroF1, s.Matthews, s.Count)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "right \\ given\t")
	for _, l := range s.Labels {
		fmt.Fprintf(table, "%s\t", l.Label)
	}
	fmt.Fprint(table, "precision\trecall\tF1\t\n")
	for i, l := range s.Labels {
		fmt.Fprintf(table, "%s\t", l.Label)
		for _, n := range s.Confusion[i] {
			fmt.Fprintf(table, "%d\t", n)
		}
		fmt.Fprintf(table, "%.1f%%\t%.1f%%\t%.1f%%\t\n", 100*l.Precision, 100*l.Recall, 100*l.F1)
	}
	table.Flush()
}

// Write writes the score in a line.
func (s *AnswerScore) Write(w io.Writer) {
	fmt.Fprintf(w, "exact match %.1f%%   F1 %.1f%%   (%d questions)\n", s.ExactMatch, s.F1, s.Count)
}

func finetune(c *call) error {
	f := c.tuneFlags()
	if err := c.parse(0, "model", "train"); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if !f.study {
		release, err := claim(f.out)
		if err != nil {
			return err
		}
		defer release()
		if err := mustNotExist(filepath.Join(f.out, modelFile)); err != nil {
			return err
		}
		if found := CheckpointsIn(f.out); len(found) > 0 {
			return fmt.Errorf("%s has checkpoints of a training, such as %s: take another -out", f.out, found[0])
		}
	}
	from, t, err := c.loadModel(f.model)
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
	ctx, stop := untilInterrupted()
	defer stop()
	if f.study {
		return c.study(ctx, f, from, task)
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
	return c.tune(ctx, f, m, t, task)
}

// tune trains, saves the model and writes its score.
func (c *call) tune(ctx context.Context, f *tuneFlags, m *Model, t *Tokenizer, task *task) error {
	metrics, err := os.Create(filepath.Join(f.out, metricsFile))
	if err != nil {
		return err
	}
	defer metrics.Close()
	best := 0
	tuner := &Tuner{Model: m, Cases: task.cases, Settings: f.settings, Epochs: f.epochs, Freeze: f.freeze}
	tuner.Evaluate = func() float64 { score, _ := task.evaluate(m); return score }
	tuner.OnEpoch = func(r Epoch) error {
		if r.Best {
			best = r.Epoch
		}
		c.note("epoch %*d/%d  loss %.3f  right %5.1f%%  held out %5.1f%%", len(fmt.Sprint(f.epochs)), r.Epoch, f.epochs, r.Loss, 100*r.Accuracy, 100*r.Score)
		return json.NewEncoder(metrics).Encode(r)
	}
	trainErr := tuner.Train(ctx)
	if errors.Is(trainErr, errInterrupted) && best == 0 {
		return fmt.Errorf("%w in the first epoch: no model is saved", trainErr)
	} else if trainErr != nil && !errors.Is(trainErr, errInterrupted) {
		return trainErr
	}
	if err := errors.Join(SaveModel(f.out, m, t), metrics.Close()); err != nil {
		return err
	}
	c.note("saved %s, as it was after epoch %d", f.out, best)
	// A little too good a score: by it the best epoch was chosen.
	_, all := task.evaluate(m)
	if f.asJSON {
		return errors.Join(json.NewEncoder(c.stdout).Encode(all), trainErr)
	}
	all.Write(c.stdout)
	return trainErr
}

// study writes the table of the transfer study.
func (c *call) study(ctx context.Context, f *tuneFlags, from *Model, task *task) error {
	s := &Study{Pretrained: from, Config: task.config, Settings: f.settings, Epochs: f.epochs, Seeds: f.seeds, Cases: task.cases, Test: task.test, Pairs: task.pairs}
	if err := s.Check(); err != nil {
		return wrap(f.train, err)
	}
	if !f.asJSON {
		fmt.Fprintln(c.stdout, studyHeader)
	}
	return s.Run(ctx, func(r StudyRow) error {
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
	if f.task == "answer" {
		config.Architectures = []string{answering}
		l, err := f.limits(from, answerSeq)
		if err != nil {
			return nil, err
		}
		return c.readAnswerTask(f, config, t, l)
	}
	l, err := f.limits(from, classifySeq)
	if err != nil {
		return nil, err
	}
	return c.readClassifyTask(f, config, t, l.MaxSeq)
}

func (c *call) readClassifyTask(f *tuneFlags, config Config, t *Tokenizer, maxSeq int) (*task, error) {
	list, found, err := c.readLabelled(f, f.train)
	if err != nil {
		return nil, err
	}
	labels, err := LabelsOf(list)
	if err != nil {
		return nil, wrap(f.train, err)
	}
	config.SetLabels(labels)
	found += fmt.Sprintf(", %d labels: %s", len(labels), QuotedList(labels))
	var heldOut []Labelled
	if f.eval != "" {
		var foundToo string
		heldOut, foundToo, err = c.readLabelled(f, f.eval)
		found += "\n" + foundToo
	} else if !f.study {
		list, heldOut = holdOut(c, list, f)
	}
	if err != nil {
		return nil, err
	}
	task := &task{config: config, pairs: list[0].B != ""}
	cases := func(name string, list []Labelled) ([]Case, error) {
		cases, cut, err := LabelledCases(t, list, labels, maxSeq)
		if cut > 0 {
			c.note("%s: %d of %d have more than %d tokens, and were cut", name, cut, len(list), maxSeq)
		}
		return cases, wrap(name, err)
	}
	if task.cases, err = cases(f.train, list); err != nil {
		return nil, err
	}
	if task.test, err = cases(f.eval, heldOut); err != nil {
		return nil, err
	}
	c.note("%s", found)
	task.evaluate = func(m *Model) (float64, result) {
		score := m.Confusion(task.test).ClassScore(labels)
		return score.Accuracy, &score
	}
	return task, nil
}

// readLabelled reads a file of labelled sentences; found is what it has read as what.
func (c *call) readLabelled(f *tuneFlags, name string) (list []Labelled, found string, err error) {
	format := f.format
	format.Kind = FormatOf(name)
	list, err = readInput(c, name, func(r io.Reader) (list []Labelled, err error) {
		list, found, err = format.Read(r)
		return list, err
	})
	return list, fmt.Sprintf("%s: %s; %d rows", name, found, len(list)), err
}

func (c *call) readAnswerTask(f *tuneFlags, config Config, t *Tokenizer, l Limits) (*task, error) {
	read := func(r io.Reader) ([]Question, error) { return ReadSQuAD(r, t) }
	list, err := readInput(c, f.train, read)
	if err != nil {
		return nil, err
	}
	var heldOut []Question
	if f.eval != "" {
		heldOut, err = readInput(c, f.eval, read)
	} else {
		list, heldOut = holdOut(c, list, f)
	}
	if err != nil {
		return nil, err
	}
	return &task{config: config, cases: AnswerCases(t, list, l), evaluate: func(m *Model) (float64, result) {
		score := m.AnswerScore(t, heldOut, l)
		return score.F1 / 100, &score
	}}, nil
}

// holdOut draws a tenth of a list, which is not trained on. Of fewer than 10 that
// would tell nothing: there all are trained and tried on.
func holdOut[T any](c *call, list []T, f *tuneFlags) (training, heldOut []T) {
	n := len(list) / 10
	if n == 0 {
		c.note("%s has %d examples, too few to hold some out: the scores are of what is trained on", f.train, len(list))
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
