package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The command pretrain: what the flags say becomes a model, a tokenizer and a trainer, and
// while it trains, lines tell how it goes. (The demo trains with the end of this file.)

func pretrain(c *call) error {
	defer littleGarbage()()
	s := DefaultSettings()
	names := c.corpusFlag()
	file := c.flags.String("examples", "", "examples `FILE` instead, used in its order")
	out := c.flags.String("out", "", "model folder `DIR` to write")
	resume := c.flags.Bool("resume", false, "go on from the newest checkpoint in -out, if there is one")
	saveEvery := c.flags.Int("save-every", 0, "steps between two checkpoints (0: ten minutes)")
	build := c.modelFlags()
	c.trainingFlags(&s)
	recipe := c.flags.String("recipe", "", "paper: the settings of the BERT paper, but for the flags that are given")
	rounded := c.bf16Flag()
	plan := c.flags.Bool("plan", false, "do not train, but say what it would cost: tokens, operations, memory, time")
	if err := c.parse(0); err != nil {
		return err
	}
	switch {
	case *plan && *resume:
		return usagef("-plan is about a whole training, want it without -resume")
	case *out == "" && !*plan:
		return usagef("-out is missing")
	case (len(*names) == 0) == (*file == ""):
		return usagef("want either -corpus or -examples")
	case *saveEvery < 0:
		return usagef("-save-every is %d, want 0 or more", *saveEvery)
	}
	if !*plan {
		release, err := c.claim(*out)
		if err != nil {
			return err
		}
		defer release()
	}
	k := &Checkpoints{dir: *out}
	var from *Checkpoint
	var err error
	if *out != "" {
		from, err = c.checkpoint(k, *resume, &s)
	}
	if err == nil {
		err = c.useRecipe(*recipe)
	}
	if err != nil {
		return err
	}
	s.Complete()
	if err := s.Check(); err != nil && *recipe != "" {
		return usagef("%v (-recipe %s sets what is not given)", err, *recipe)
	} else if err != nil {
		return usageError(err.Error())
	}
	defer c.useBF16(*rounded)()
	k.settings = c.settings()
	trainer := &Trainer{Settings: s, Warn: c.warn, Save: k.Save, SaveEvery: *saveEvery}
	k.trainer = trainer
	if from != nil {
		trainer.Model, k.tokenizer = from.model, from.tokenizer
	} else if trainer.Model, k.tokenizer, err = build(*names, *out, s.Seed); err != nil {
		return err
	}
	if k.data, err = c.useData(trainer, k.tokenizer, *names, *file); err != nil {
		return err
	}
	if from != nil {
		if err := c.goOn(trainer, from, k.data); err != nil {
			return err
		}
	}
	if err := mustFitTraining(trainer); err != nil {
		return err
	}
	if *plan {
		return c.plan(trainer)
	}
	return c.trainAndSave(trainer, k)
}

// goOn makes the trainer go on from a checkpoint, which has to have been made with the same data.
func (c *call) goOn(trainer *Trainer, from *Checkpoint, data string) error {
	if data != from.Data {
		return fmt.Errorf("%s was made with other data than -corpus or -examples has now", from.dir)
	}
	if err := trainer.ResumeFrom(from); err != nil {
		return err
	}
	c.note("going on from %s", from.dir)
	if c.given()["init"] {
		c.note("-init is not read again: the model is that of %s", from.dir)
	}
	return nil
}

// trainAndSave trains, with checkpoints, metrics.jsonl and a page that come as it does, and saves
// the model at the end.
func (c *call) trainAndSave(trainer *Trainer, k *Checkpoints) error {
	ctx, stop := c.untilInterrupted()
	defer stop()
	metrics, err := openMetrics(k.dir, &trainer.state)
	if err != nil {
		return err
	}
	defer metrics.Close()
	report := c.newReporter(k.dir, trainer.Model, k.tokenizer)
	report.beginPreTraining(trainer)
	err = c.train(ctx, trainer, nil, func(r Metrics) error {
		err := appendJSON(metrics, r)
		if r.Split == "heldout" || len(trainer.HeldOut) == 0 {
			report.step(r.Step, false)
		}
		return err
	})
	steps := trainer.Settings.Steps
	switch {
	case errors.Is(err, errInterrupted) && trainer.state.Step > 0:
		err = fmt.Errorf("%w: %d of %d steps are taken and saved; to go on: the same command with -resume", err, trainer.state.Step, steps)
	case err == nil:
		err = SaveModel(k.dir, trainer.Model, k.tokenizer)
	}
	if err != nil {
		return err
	}
	k.Finish()
	c.note("saved %s", k.dir)
	report.step(steps, true)
	return nil
}

// trainingFlags are the flags of how to train.
func (c *call) trainingFlags(s *Settings) {
	c.flags.IntVar(&s.Steps, "steps", s.Steps, "training steps")
	c.flags.IntVar(&s.Batch, "batch", s.Batch, "sequences in a batch")
	c.flags.IntVar(&s.Accumulate, "accumulate", s.Accumulate, "parts in which a batch is worked off, to need less memory (with -bf16 to other bits)")
	c.flags.IntVar(&s.MaxSeq, "max-seq", s.MaxSeq, "most tokens of a sequence")
	c.flags.IntVar(&s.ShortSeq, "short-seq", 0, "the same in the first part of the training (0: -max-seq)")
	c.flags.Float64Var(&s.ShortPart, "short-part", 0, "how much of the steps that part is, 0 to 1")
	c.flags.Float64Var(&s.ShortSeqProb, "short-seq-prob", s.ShortSeqProb, "share of pairs that are made shorter, in both parts")
	c.flags.BoolVar(&s.WholeWords, "whole-words", false, "mask whole words, not pieces of them")
	c.flags.Float64Var(&s.LearningRate, "lr", s.LearningRate, "highest learning rate")
	c.flags.IntVar(&s.Warmup, "warmup", s.Warmup, "steps in which the learning rate rises (-1: a tenth)")
	c.flags.StringVar(&s.Schedule, "schedule", s.Schedule, "linear or constant: the learning rate after that")
	c.flags.Float64Var(&s.Beta2, "beta2", s.Beta2, "AdamW's β₂")
	c.flags.Float64Var(&s.WeightDecay, "weight-decay", s.WeightDecay, "of matrices")
	c.flags.Uint64Var(&s.Seed, "seed", s.Seed, "seed of everything that is random")
	c.flags.IntVar(&s.LogEvery, "log-every", s.LogEvery, "steps between two reports")
}

// bf16Flag is the flag -bf16, for what trains.
func (c *call) bf16Flag() *bool {
	return c.flags.Bool("bf16", false, "round the factors of products to bfloat16, when the model is tried, too: nearly as good, and faster where there is AVX512_BF16")
}

// useBF16 does what it says, until end is called, and says where it is slower.
func (c *call) useBF16(on bool) (end func()) {
	if on && kernels.pairFloats > 1 {
		c.note("-bf16 is slower on this processor, which has no AVX512_BF16")
	}
	return inBF16(on)
}

// recipes are settings by name. The paper's memory is bounded by its parts.
var recipes = map[string]map[string]string{
	"": {},
	"paper": {
		"size": "base", "vocab-size": "30000", "positions": "512", "dropout": "0.1", "initializer-range": "0.02",
		"steps": "1000000", "batch": "256", "accumulate": "32", "max-seq": "512", "short-seq": "128", "short-part": "0.9",
		"short-seq-prob": "0.1", "lr": "1e-4", "warmup": "10000", "schedule": "linear", "beta2": "0.999", "weight-decay": "0.01",
	},
}

// useRecipe sets the flags of a recipe that are not given.
func (c *call) useRecipe(name string) error {
	recipe, ok := recipes[name]
	if !ok {
		return usagef("-recipe is %q, want paper", name)
	}
	given := c.given()
	for flag, value := range recipe {
		if !given[flag] {
			if err := c.flags.Set(flag, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayChange are the flags of pretrain that may be others when a run is resumed. Files and
// folders may have moved; what is in those of -corpus, -examples and -vocab has to be the same,
// which is checked, and that of -init is not read again, which is said.
var mayChange = map[string]bool{"corpus": true, "examples": true, "out": true, "resume": true, "save-every": true, "log-every": true, "init": true, "vocab": true, "plan": true}

// settings are the flags that decide what comes out of training.
func (c *call) settings() map[string]string {
	settings := map[string]string{}
	c.flags.VisitAll(func(f *flag.Flag) {
		if !mayChange[f.Name] {
			settings[f.Name] = f.Value.String()
		}
	})
	return settings
}

// checkpoint is the checkpoint to go on from, nil for none. A flag that is given has to mean
// what it did; the others are taken from the checkpoint.
func (c *call) checkpoint(k *Checkpoints, resume bool, s *Settings) (*Checkpoint, error) {
	var from *Checkpoint
	var err error
	if resume {
		from, k.unsound, err = NewestCheckpoint(k.dir, c.note)
	} else if len(CheckpointsIn(k.dir)) > 0 {
		err = fmt.Errorf("%s exists already, with checkpoints: -resume goes on from them", k.dir)
	}
	if from == nil {
		return nil, cmp.Or(err, mustBeFree(k.dir))
	}
	if err := c.takeSettings(from, s); err != nil {
		return nil, err
	}
	if err := CheckPlaces(k.dir, from.Step, s.Steps); err != nil {
		return nil, err
	}
	if file := c.flags.Lookup("vocab").Value.String(); file != "" {
		t, err := LoadVocabulary(file, from.tokenizer.LowerCase)
		if err == nil && !slices.Equal(t.Vocabulary, from.tokenizer.Vocabulary) {
			err = fmt.Errorf("%s is not the vocabulary of %s", file, from.dir)
		}
		return from, err
	}
	return from, nil
}

// takeSettings sets the flags that are not given to what a checkpoint has, and returns an error
// if one that is given is another.
func (c *call) takeSettings(from *Checkpoint, s *Settings) error {
	given, name, was := c.given(), filepath.Join(from.dir, trainingFile), c.settings()
	for flag := range was { // what a setting was in a checkpoint that is older than its flag
		was[flag] = c.flags.Lookup(flag).DefValue
	}
	maps.Copy(was, from.Settings)
	if from.Settings["accumulate"] == "" { // of an older one, where it may have been anything
		delete(was, "accumulate")
	}
	for _, flag := range slices.Sorted(maps.Keys(was)) {
		f, value := c.flags.Lookup(flag), was[flag]
		if f == nil || mayChange[flag] {
			return fmt.Errorf("%s: there is no setting %q", name, flag)
		}
		if given[flag] {
			continue
		}
		if err := c.flags.Set(flag, value); err != nil {
			return fmt.Errorf("%s: setting %s: %w", name, flag, err)
		}
	}
	s.Complete() // as what is in the checkpoint was
	for _, flag := range slices.Sorted(maps.Keys(was)) {
		sameBits := flag == "accumulate" && was["bf16"] == "false"
		if now, value := c.flags.Lookup(flag).Value.String(), was[flag]; now != value && !sameBits {
			return fmt.Errorf("-%s is %s, but %s was made with %s", flag, now, from.dir, value)
		}
	}
	return nil
}

// useData gives the trainer its data, and returns their fingerprint.
func (c *call) useData(trainer *Trainer, t *Tokenizer, names corpora, file string) (string, error) {
	if file != "" {
		if err := trainer.UseExamples(file, t); err != nil {
			return "", err
		}
		return fileSum(file)
	}
	if err := trainer.Model.checkLength(trainer.Settings.MaxSeq); err != nil {
		return "", err
	}
	corpus, err := c.readTokens(names, t)
	if err != nil {
		return "", err
	}
	if err := trainer.UseCorpus(corpus, t); err != nil {
		return "", wrap(names.String(), err)
	}
	c.diagnose(trainer, corpus)
	return corpus.Sum(), nil
}

// modelFlags are the flags of the model that is trained, and a function that
// makes it once they are parsed.
func (c *call) modelFlags() func(names corpora, out string, seed uint64) (*Model, *Tokenizer, error) {
	config := DefaultConfig()
	from := c.flags.String("init", "", "begin with the model in `DIR`")
	vocabFile := c.flags.String("vocab", "", "vocabulary `FILE` (otherwise one is trained on the corpus)")
	vocabSize := c.flags.Int("vocab-size", 8000, "most words in a vocabulary that is trained")
	cased := c.flags.Bool("cased", false, "keep case and accents")
	size := c.flags.String("size", "tiny", "tiny, mini, small, medium, base or large, but for the flags that follow")
	layers := c.flags.Int("layers", 0, "encoder layers")
	hidden := c.flags.Int("hidden", 0, "hidden size")
	heads := c.flags.Int("heads", 0, "attention heads")
	intermediate := c.flags.Int("intermediate", 0, "size between the two feed-forward layers (0: four times -hidden)")
	c.flags.IntVar(&config.MaxPositionEmbeddings, "positions", config.MaxPositionEmbeddings, "most tokens that the model can take")
	dropout := c.flags.Float64("dropout", config.HiddenDropout, "dropout in training")
	c.flags.Float64Var(&config.InitializerRange, "initializer-range", config.InitializerRange, "standard deviation of the first weights")

	return func(names corpora, out string, seed uint64) (*Model, *Tokenizer, error) {
		if *from != "" {
			m, t, err := c.loadFor(*from, preTraining)
			if err == nil {
				err = roomForCheckpoints(out, &m.Config)
			}
			if err == nil && c.given()["dropout"] {
				m.Config.HiddenDropout, m.Config.AttentionDropout = *dropout, *dropout
				err = checkFlags(m.Config)
			}
			return m, t, err
		}
		numbers, ok := sizes[*size]
		if !ok {
			return nil, nil, usagef("-size is %q, want tiny, mini, small, medium, base or large", *size)
		}
		for i, n := range []int{*layers, *hidden, *heads} {
			if c.given()[[]string{"layers", "hidden", "heads"}[i]] {
				numbers[i] = n
			}
		}
		config.SetSize(numbers)
		if *intermediate != 0 {
			config.IntermediateSize = *intermediate
		}
		config.HiddenDropout, config.AttentionDropout = *dropout, *dropout
		config.VocabSize = *vocabSize
		// Before a vocabulary is trained, which takes its time.
		if err := cmp.Or(checkFlags(config), mustFit(parametersNeed(&config)), roomForCheckpoints(out, &config)); err != nil {
			return nil, nil, err
		}
		t, err := c.vocabularyFor(names, *vocabFile, *vocabSize, !*cased)
		if err != nil {
			return nil, nil, err
		}
		config.VocabSize = len(t.Vocabulary)
		m, err := NewModel(config, seed)
		return m, t, err
	}
}

// checkFlags is Check for a configuration that the flags have made: what it says of a
// field is true of the flag.
func checkFlags(config Config) error {
	if err := config.Check(); err != nil {
		return usageError(flagOf.Replace(err.Error()))
	}
	return nil
}

// flagOf replaces the names of config.json by those of the flags.
var flagOf = strings.NewReplacer(
	"num_hidden_layers", "-layers", "hidden_size", "-hidden", "num_attention_heads", "-heads", "intermediate_size", "-intermediate",
	"max_position_embeddings", "-positions", "vocab_size", "-vocab-size", "hidden_dropout_prob", "-dropout", "initializer_range", "-initializer-range",
)

// vocabularyFor loads the vocabulary or, where there is no file, trains one.
func (c *call) vocabularyFor(names corpora, file string, size int, lowerCase bool) (*Tokenizer, error) {
	if file != "" {
		t, err := LoadVocabulary(file, lowerCase)
		c.noteCapitals(file, t)
		c.noteVocabulary(nil, t)
		return t, err
	}
	if len(names) == 0 {
		return nil, usagef("-examples needs -init or -vocab")
	}
	for _, name := range names {
		if kind := kindOf(name); name != "-" && kind != "" && kind != aFile && kind != aFolder {
			return nil, fmt.Errorf("%s is %s, and without -vocab a corpus is read twice: give -vocab, a file, or - for standard input", name, kind)
		}
	}
	counts, err := c.countWords(names, lowerCase)
	if err != nil {
		return nil, err
	}
	words, err := TrainVocabulary(counts, size)
	if err != nil {
		return nil, wrap(names.String(), err)
	}
	c.note("trained a vocabulary of %d words", len(words))
	return NewTokenizer(words, lowerCase)
}

// train trains and says how it goes: on standard error while a step follows the other, and
// for each report by show and, for metrics.jsonl, by keep.
func (c *call) train(ctx context.Context, trainer *Trainer, show func(Metrics), keep func(Metrics) error) error {
	progress := newProgress(c.stderr, trainer.state.Step, trainer.Settings.Steps)
	if show == nil {
		show = progress.report
	}
	trainer.OnStep = progress.tick
	trainer.OnReport = func(r Metrics) error {
		progress.clear()
		show(r)
		return keep(r)
	}
	defer progress.clear()
	return trainer.Train(ctx)
}

// openMetrics opens the metrics.jsonl of a run, with what is not to be reported again.
func openMetrics(dir string, state *RunState) (*os.File, error) {
	name, kept := filepath.Join(dir, metricsFile), state.Step
	if state.ReportDue {
		kept--
	}
	if err := KeepMetrics(name, kept); err != nil {
		return nil, err
	}
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
}
