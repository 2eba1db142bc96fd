package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// The pretrain command: what the flags say becomes a model, a tokenizer and a
// trainer, and while it trains, lines tell how it goes.

func pretrain(c *call) error {
	s := defaultSettings()
	corpus := c.flags.String("corpus", "", "text `FILE`, folder, or - for standard input")
	file := c.flags.String("examples", "", "examples `FILE` instead, used in its order")
	out := c.flags.String("out", "", "model folder `DIR` to write")
	build := c.modelFlags()
	c.flags.IntVar(&s.Steps, "steps", s.Steps, "training steps")
	c.flags.IntVar(&s.Batch, "batch", s.Batch, "sequences in a batch")
	c.flags.IntVar(&s.MaxSeq, "max-seq", s.MaxSeq, "most tokens of a sequence")
	c.flags.IntVar(&s.ShortSeq, "short-seq", 0, "the same in the first part of the training (0: -max-seq)")
	c.flags.Float64Var(&s.ShortPart, "short-part", 0, "how much of the steps that part is, 0 to 1")
	c.flags.Float64Var(&s.ShortSeqProb, "short-seq-prob", s.ShortSeqProb, "share of pairs that are made shorter, in both parts")
	c.flags.Float64Var(&s.LearningRate, "lr", s.LearningRate, "highest learning rate")
	c.flags.IntVar(&s.Warmup, "warmup", s.Warmup, "steps in which the learning rate rises (-1: a tenth)")
	c.flags.StringVar(&s.Schedule, "schedule", s.Schedule, "linear or constant: the learning rate after that")
	c.flags.Float64Var(&s.Beta2, "beta2", s.Beta2, "AdamW's β₂")
	c.flags.Float64Var(&s.WeightDecay, "weight-decay", s.WeightDecay, "of matrices")
	c.flags.Uint64Var(&s.Seed, "seed", s.Seed, "seed of everything that is random")
	c.flags.IntVar(&s.LogEvery, "log-every", s.LogEvery, "steps between two reports")
	if err := c.parse(0, "out"); err != nil {
		return err
	}
	if (*corpus == "") == (*file == "") {
		return usagef("want either -corpus or -examples")
	}
	s.complete()
	if err := s.Check(); err != nil {
		return usageError(err.Error())
	}
	if err := mustNotExist(filepath.Join(*out, modelFile)); err != nil {
		return err
	}
	var text *Text
	var err error
	if *corpus != "" {
		if text, err = c.readText(*corpus); err != nil {
			return err
		}
	}
	m, t, err := build(text, s.Seed)
	if err != nil {
		return err
	}
	trainer := &Trainer{Model: m, Settings: s}
	if text != nil {
		if err := m.checkLength(s.MaxSeq); err != nil {
			return err
		}
		err = wrap(*corpus, trainer.useCorpus(text, t))
	} else {
		err = trainer.useExamples(*file)
	}
	if err != nil {
		return err
	}
	return c.train(trainer, t, *out, nil)
}

// modelFlags are the flags of the model that is trained, and a function that
// makes it once they are parsed.
func (c *call) modelFlags() func(text *Text, seed uint64) (*Model, *Tokenizer, error) {
	config := defaultConfig()
	from := c.flags.String("init", "", "begin with the model in `DIR`")
	vocabFile := c.flags.String("vocab", "", "vocabulary `FILE` (otherwise one is trained on the corpus)")
	vocabSize := c.flags.Int("vocab-size", 8000, "most words in a vocabulary that is trained")
	cased := c.flags.Bool("cased", false, "keep case and accents")
	size := c.flags.String("size", "tiny", "tiny, mini, small or base, but for the flags that follow")
	layers := c.flags.Int("layers", 0, "encoder layers")
	hidden := c.flags.Int("hidden", 0, "hidden size")
	heads := c.flags.Int("heads", 0, "attention heads")
	intermediate := c.flags.Int("intermediate", 0, "size between the two feed-forward layers (0: four times -hidden)")
	c.flags.IntVar(&config.MaxPositionEmbeddings, "positions", config.MaxPositionEmbeddings, "most tokens that the model can take")
	dropout := c.flags.Float64("dropout", config.HiddenDropout, "dropout in training")
	c.flags.Float64Var(&config.InitializerRange, "initializer-range", config.InitializerRange, "standard deviation of the first weights")

	return func(text *Text, seed uint64) (*Model, *Tokenizer, error) {
		given := map[string]bool{}
		c.flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		if *from != "" {
			m, t, err := loadFor(*from, preTraining)
			if err == nil && given["dropout"] {
				m.Config.HiddenDropout, m.Config.AttentionDropout = *dropout, *dropout
				err = m.Config.Check()
			}
			return m, t, err
		}
		numbers, ok := sizes[*size]
		if !ok {
			return nil, nil, usagef("-size is %q, want tiny, mini, small or base", *size)
		}
		for i, n := range []int{*layers, *hidden, *heads} {
			if n != 0 {
				numbers[i] = n
			}
		}
		config.NumHiddenLayers, config.HiddenSize, config.NumAttentionHeads = numbers[0], numbers[1], numbers[2]
		if config.IntermediateSize = *intermediate; *intermediate == 0 {
			config.IntermediateSize = 4 * config.HiddenSize
		}
		config.HiddenDropout, config.AttentionDropout = *dropout, *dropout
		config.VocabSize = *vocabSize
		if err := config.Check(); err != nil { // before a vocabulary is trained
			return nil, nil, err
		}
		t, err := c.vocabularyFor(text, *vocabFile, *vocabSize, !*cased)
		if err != nil {
			return nil, nil, err
		}
		config.VocabSize = len(t.Words)
		m, err := NewModel(config, seed)
		return m, t, err
	}
}

// vocabularyFor loads the vocabulary or, where there is no file, trains one.
func (c *call) vocabularyFor(text *Text, file string, size int, lowerCase bool) (*Tokenizer, error) {
	if file != "" {
		return LoadVocabulary(file, lowerCase)
	}
	if text == nil {
		return nil, usagef("-examples needs -init or -vocab")
	}
	words, err := TrainVocabulary(CountWords(text, lowerCase), size)
	if err != nil {
		return nil, err
	}
	c.note("trained a vocabulary of %d words", len(words))
	return NewTokenizer(words, lowerCase)
}

// train trains, saves the model and says how it goes: in metrics.jsonl, on
// standard error while a step follows the other, and by show for each report.
func (c *call) train(trainer *Trainer, t *Tokenizer, out string, show func(Report)) error {
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	metrics, err := os.Create(filepath.Join(out, "metrics.jsonl"))
	if err != nil {
		return err
	}
	defer metrics.Close()
	progress := newProgress(c.stderr, trainer.Settings.Steps)
	if show == nil {
		show = progress.report
	}
	trainer.Tick = progress.tick
	trainer.Report = func(r Report) error {
		progress.clear()
		show(r)
		return json.NewEncoder(metrics).Encode(r)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // so that a second interrupt stops at once
	trainErr := trainer.Train(ctx)
	if trainErr != nil && !errors.Is(trainErr, errInterrupted) {
		return trainErr
	}
	if err := errors.Join(SaveModel(out, trainer.Model, t), metrics.Close()); err != nil {
		return err
	}
	if trainErr != nil {
		return fmt.Errorf("%w: %d of %d steps are taken and saved in %s; to go on from there: -init %s", trainErr, trainer.step, trainer.Settings.Steps, out, out)
	}
	c.note("saved %s", out)
	return nil
}

// progress shows how training goes: on a terminal in a line that is redrawn,
// otherwise in a line for each report.
type progress struct {
	w        io.Writer
	terminal bool
	steps    int
	begun    time.Time
	drawn    time.Time // when the line was last drawn
}

func newProgress(w io.Writer, steps int) *progress {
	p := &progress{w: w, steps: steps, begun: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// tick is called after each step.
func (p *progress) tick(r Report) {
	if !p.terminal || time.Since(p.drawn) < 100*time.Millisecond {
		return
	}
	p.drawn = time.Now()
	left := time.Since(p.begun) * time.Duration(p.steps-r.Step) / time.Duration(r.Step)
	fmt.Fprintf(p.w, "\r\033[K%s  %s left", p.line(r), left.Round(time.Second))
}

// clear takes the line away from a terminal.
func (p *progress) clear() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\033[K")
	}
}

// report writes a line that stays.
func (p *progress) report(r Report) {
	fmt.Fprintln(p.w, p.line(r))
}

func (p *progress) line(r Report) string {
	line := fmt.Sprintf("%*d/%d", len(fmt.Sprint(p.steps)), r.Step, p.steps)
	if r.Split == "heldout" {
		line = fmt.Sprintf("%*s", len(line), "held out")
	}
	line += fmt.Sprintf("  mlm %.3f %4.1f%%  nsp %.3f %4.1f%%", r.MLMLoss, 100*r.MLMAccuracy, r.NSPLoss, 100*r.NSPAccuracy)
	if r.TokensPerSecond != nil {
		line += fmt.Sprintf("  lr %.1e  %.0fk tok/s", *r.LearningRate, *r.TokensPerSecond/1000)
	}
	return line
}
