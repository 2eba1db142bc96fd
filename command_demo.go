package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
)

// The demo: the lesson, told with a small world, while a model learns it.

// corpusText is the built-in corpus: short documents about a harbour town.
//
//go:embed corpus.txt
var corpusText []byte

// taskText is the built-in task: sentences of the same world and their topics, none
// of them in the corpus.
//
//go:embed task.tsv
var taskText []byte

// demoSettings and demoConfig were found by trying; settings.go has them beside the
// paper's. A minute is enough for some five million tokens. A small model and small
// batches make more steps of them than large ones. Dropout guards against learning a
// text by heart, and a minute's model has not learnt enough for that: it is off. Short
// sequences come first, as in the paper. They are enough to learn which words stand
// together, at a higher speed; what follows from what needs longer ones. With eight
// heads the model finds out sooner than with four how to compare the words of two
// sentences. Of the weight decays 0.05, 0.1, 0.2 and 0.4, 0.2 did best.
func demoSettings() Settings {
	s := DefaultSettings()
	s.Steps, s.Batch, s.MaxSeq, s.LogEvery = 11000, 10, 75, 1100
	s.ShortSeq, s.ShortPart, s.ShortSeqProb = 24, 0.1, 0.7
	s.LearningRate, s.Warmup, s.Beta2, s.WeightDecay = 4e-3, 1700, 0.98, 0.2
	return s
}

// demoVocabulary is the size of its vocabulary.
const demoVocabulary = 2000

// demoConfig is the size of the demo's model.
func demoConfig(vocabSize int) Config {
	c := DefaultConfig()
	c.VocabSize, c.HiddenSize, c.NumHiddenLayers, c.NumAttentionHeads = vocabSize, 64, 2, 8
	c.IntermediateSize, c.MaxPositionEmbeddings = 128, 128
	c.HiddenDropout, c.AttentionDropout, c.InitializerRange = 0, 0, 0.08
	return c
}

// What the demo asks the model. None of these sentences is in the corpus, nor are
// demoA and demoB (report_past.go).
const (
	demoMasked  = "In the evening Hugo plays the [MASK]."
	demoBefore  = "Nora puts the dough in the hot oven."
	demoAfter   = "Soon the bread in the bakery is brown."
	demoNoAfter = "The telescope of Iris shows the moon."
)

// demoQuestions are what the demo asks at the end.
var demoQuestions = []string{
	"The boat of Tom is the [MASK].",
	"Hugo plays the [MASK].",
	"Sam sounds the [MASK].",
	"In thick fog Sam sounds the [MASK].",
	"Nora bakes the bread in the [MASK].",
	"The train stops at the [MASK].",
}

func demo(c *call) error {
	out := c.flags.String("out", filepath.Join("run", "demo"), "model folder `DIR` to write; an older demo there is replaced")
	if err := c.parse(0); err != nil {
		return err
	}
	release, err := c.claim(*out)
	if err != nil {
		return err
	}
	defer release()
	config := demoConfig(demoVocabulary)
	if err := cmp.Or(mayHoldDemo(*out), roomFor(*out, &config, 1, "the model")); err != nil {
		return err
	}
	s, err := newStory(c.stdout)
	if err != nil {
		return err
	}
	s.tellTokens()
	s.tellEmbeddings()
	s.tellAttention()
	s.tellModel()
	s.tellExamples()
	s.page = c.newReporter(*out, s.m, s.t)
	s.page.beginPreTraining(s.trainer)
	s.page.follow(s.sequence(demoA, demoB), s.sequence(demoMasked, ""))
	if err := s.train(c, *out); err != nil {
		return err
	}
	s.page.step(s.trainer.Settings.Steps, true)
	s.tellOutcome()
	s.tellSaved(*out)
	if err := s.tellTransfer(); err != nil {
		return err
	}
	s.page.write(true)
	s.tellNext(*out)
	return nil
}

// demoMark is a file beside the model of a demo that has the sum of its parameters.
const demoMark = ".demo"

// mayHoldDemo returns an error if there is anything in a folder but an older demo.
func mayHoldDemo(dir string) error {
	sum, err := fileSum(filepath.Join(dir, modelFile))
	mark, _ := readSmall(filepath.Join(dir, demoMark))
	if err == nil && sum == string(mark) && len(LikeCheckpoints(dir)) == 0 {
		return nil
	}
	return mustBeFree(dir)
}

// save replaces an older demo.
func (s *story) save(dir string, metrics []byte) error {
	if err := SaveModel(dir, s.m, s.t); err != nil {
		return err
	}
	sum, err := fileSum(filepath.Join(dir, modelFile))
	if err != nil {
		return err
	}
	return saveFiles(dir, dir, []savedFile{
		{demoMark, func(w io.Writer) error { _, err := io.WriteString(w, sum); return err }},
		{metricsFile, func(w io.Writer) error { _, err := w.Write(metrics); return err }},
	})
}

// newStory is the demo before its first step: the vocabulary of its corpus, a model
// that knows nothing, and what it will be trained and tried on.
func newStory(w io.Writer) (*story, error) {
	words, err := TrainVocabulary(CountWords(strings.Split(string(corpusText), "\n"), true), demoVocabulary)
	if err != nil {
		return nil, err
	}
	s := &story{Writer: w}
	if s.t, err = NewTokenizer(words, true); err != nil {
		return nil, err
	}
	s.corpus = NewCorpus(s.t)
	if _, err := s.corpus.ReadFile(bytes.NewReader(corpusText), s.t, func(int) {}); err != nil {
		return nil, err
	}
	settings := demoSettings()
	if s.m, err = NewModel(demoConfig(len(words)), settings.Seed); err != nil {
		return nil, err
	}
	s.trainer = &Trainer{Model: s.m, Settings: settings}
	return s, s.trainer.UseCorpus(s.corpus, s.t)
}

// demoToken is the token of the first pair that the demo follows: "fog".
const demoToken = 2

// tellTokens is step 1.
func (s *story) tellTokens() {
	s.say("BERT, pre-trained from scratch on %d short documents (%d sentences)\nabout the harbour town of Tidewell. Nobody has labelled them.", len(s.corpus.documents)-1, s.corpus.sentences.Len()-1)
	s.say("\n1. Text becomes tokens. The vocabulary has %d pieces, learnt from the corpus.", len(s.t.Vocabulary))
	s.say("   A  %s", demoA)
	s.say("   B  %s\n", demoB)
	pair := s.sequence(demoA, demoB)
	s.m.EncodeOne(pair.Tokens, pair.Segments)
	s.tokens()
}

// tellEmbeddings is step 2.
func (s *story) tellEmbeddings() {
	s.say("\n2. A token enters the model as the sum of three vectors of %d numbers, which are\n   random still. The first six for %q:\n", s.m.Config.HiddenSize, s.token(demoToken, narrowToken))
	s.embedding(demoToken)
}

// tellAttention is step 3.
func (s *story) tellAttention() {
	s.say("\n3. In each of %d layers every token looks at all tokens, of both sentences, and\n   takes a share from each. %q does not know yet where to look:\n", len(s.m.encoder), s.token(demoToken, narrowToken))
	s.attention(demoToken)
}

// tellModel is step 4.
func (s *story) tellModel() {
	sizes := partSizes(s.m)
	s.say("\n4. The model learns %d numbers: %d in the embeddings, %d in the\n   layers, %d in two heads, which guess hidden words and whether B follows A.\n   It knows nothing: it guesses like dice with %d faces, and like a coin.", len(s.m.Value), sizes[0], sizes[1], sizes[2], len(s.t.Vocabulary))
}

// tellExamples is step 5.
func (s *story) tellExamples() {
	s.say("\n5. The text itself is the teacher. 15%% of the tokens are to be guessed: most are\n   masked, some replaced by any other, some kept. In half of the pairs B follows\n   A, in the others it is from elsewhere. Two examples:")
	for _, want := range []int32{0, 1} {
		e := shortest(s.trainer.HeldOut, want)
		answers, how := make([]string, len(e.Tokens)), make([]string, len(e.Tokens))
		for k, at := range e.Targets {
			answers[at] = s.t.Vocabulary[e.Labels[k]]
			how[at] = seenNames[SeenAs(e.Labels[k], e.Tokens[at], s.t.mask)]
		}
		s.say("\n   %s:", []string{"B follows A", "B is from elsewhere"}[want])
		s.columns([]string{"sees", "guess", "it is"}, s.t.Tokens(e.Tokens), answers, how)
	}
}

// train is step 6.
func (s *story) train(c *call, out string) error {
	commonest, count := s.commonestLabel()
	steps := s.trainer.Settings.Steps
	s.say("\n6. Training: %d steps. Now and then the model is tried on documents that it\n   never trains on. (Always to guess %q would be right %.0f%% of the time.)\n", steps, commonest, 100*count)
	s.say("                  masked tokens     next sentence")
	s.say("  step   tokens   loss accuracy     loss accuracy")
	before := Evaluate(s.m, slices.Values(s.trainer.HeldOut), s.t.mask, nil)
	s.report(before.Metrics(0, 0))
	s.tellGuesses()
	var metrics bytes.Buffer
	s.page.metrics = ""                               // it is written at the end
	hasModel := exists(filepath.Join(out, modelFile)) // of an older demo, whose page stays until the model goes
	ctx, stop := c.untilInterrupted()
	defer stop()
	keep := json.NewEncoder(&metrics)
	err := c.train(ctx, s.trainer, s.report, func(r Metrics) (err error) {
		if err = keep.Encode(r); err == nil {
			s.page.History, err = readHistory(bytes.NewReader(metrics.Bytes()))
		}
		if err == nil && r.Split == "heldout" && !hasModel {
			s.page.step(r.Step, false)
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.save(out, metrics.Bytes())
}

// commonestLabel is the commonest of the tokens to be guessed, and its share.
func (s *story) commonestLabel() (string, float64) {
	counts, total := make([]int, len(s.t.Vocabulary)), 0
	for _, e := range s.trainer.HeldOut {
		for _, id := range e.Labels {
			counts[id]++
			total++
		}
	}
	most := slices.Max(counts)
	return s.t.Vocabulary[slices.Index(counts, most)], float64(most) / float64(total)
}

// report is a row of the table, for the held-out documents.
func (s *story) report(r Metrics) {
	if r.Split != "heldout" {
		return
	}
	remark := ""
	settings := &s.trainer.Settings
	switch {
	case !s.fell && inItsPlace(r.NSPAccuracy):
		s.fell = true
		remark = "  NSP falls into place"
	case r.Step == settings.ShortSteps():
		remark = "  from here longer pairs"
	}
	s.say("%6d %7.1fM  %5.2f   %5.1f%%    %5.2f   %5.1f%%%s", r.Step, float64(r.Tokens)/1e6, r.MLMLoss, 100*r.MLMAccuracy, r.NSPLoss, 100*r.NSPAccuracy, remark)
	if r.Step == settings.Steps/2 || r.Step == settings.Steps {
		s.tellGuesses()
	}
}

// tellGuesses is what the model makes of the demo's sentences at the moment.
func (s *story) tellGuesses() {
	var best []string
	for _, g := range s.fill(demoMasked, 4) {
		best = append(best, g.Token)
	}
	s.say("         %s  %s", demoMasked, strings.Join(best, ", "))
	s.say("         %s  Next?", demoBefore)
	for _, b := range []string{demoAfter, demoNoAfter} {
		pair := BatchOf(s.t.Pair(s.t.Encode(demoBefore), s.t.Encode(b)))
		s.say("           %3.0f%%  %s", 100*s.m.IsNext(pair)[0], b)
	}
}

// tellOutcome is what the model has learnt.
func (s *story) tellOutcome() {
	s.say("\n   What it has learnt. None of these sentences stands in the corpus:\n")
	for _, q := range demoQuestions {
		best := s.fill(q, 3)
		s.say("   %-42s %s %.0f%%, %s, %s", q, best[0].Token, 100*best[0].Probability, best[1].Token, best[2].Token)
	}
}

// tellSaved is step 7.
func (s *story) tellSaved(out string) {
	s.say("\n7. The model is saved in %s, as Hugging Face saves one: %s,\n   %s, %s, %s and %s.", out, configFile, vocabFile, tokenizerConfigFile, tokenizerFile, modelFile)
}

// demoStudySeeds are fewer than a study has, for the minute's sake.
const demoStudySeeds = 3

// tellTransfer is step 8: the transfer study, on the built-in task.
func (s *story) tellTransfer() error {
	list, _, err := LabelledFormat{}.Read(bytes.NewReader(taskText))
	if err != nil {
		return err
	}
	study := &Study{Pretrained: s.m, Config: s.m.Config, Settings: TuneSettings(), Epochs: tuneEpochs, Seeds: demoStudySeeds}
	put, err := sentenceTasks[oneLabel](&study.Config, list)
	if err != nil {
		return err
	}
	labels := study.Config.Labels()
	study.Config.HiddenDropout, study.Config.AttentionDropout = tuneDropout, tuneDropout
	study.Settings.LearningRate = TuneRate(study.Config.HiddenSize)
	if study.Cases, _, err = SentenceCases(s.t, list, "line", put, s.m.Config.MaxPositionEmbeddings); err != nil {
		return err
	}
	s.say("\n8. What it is good for. A new task: which of %d topics is a sentence about? Few\n   sentences are labelled; neither they nor the %d to test on are in the text.", len(labels), len(list)/2)
	s.say("   A bag of words sees the words alone. From scratch is the same model without\n   pre-training. Frozen, the pre-trained encoder stays as it is and a new head\n   learns from its vectors; fine-tuned, the encoder is trained further, too.\n   (Means of %d trials ± their standard deviation; chance is right in %.1f%%.)\n", study.Seeds, 100/float64(len(labels)))
	s.say(studyHeader)
	err = study.Run(func(r StudyRow) error {
		s.say("%v", r)
		s.page.Study = append(s.page.Study, r)
		return nil
	})
	s.say("\n   Frozen is ahead here: its vectors show the topic already, and with few labels\n   a head that is still random pulls the encoder away from what it knew. Where\n   the vectors do not show what is asked, it is the other way round (README.md).")
	return err
}

// tellNext is what to do with the model.
func (s *story) tellNext(out string) {
	s.say("\nAll this in pictures: %s", filepath.Join(out, reportFile))
	s.say("\nTry next:\n")
	s.say("go run . explain -model %s \"Nora bakes bread.\" \"The [MASK] is warm.\"", out)
	s.say("go run . fill -model %s \"Otto blows the [MASK].\"", out)
	s.say("go run . next -model %s \"Ben milks the cows.\" \"Then the milk is warm.\"", out)
	s.say("go run . finetune -model %s -task classify -train task.tsv -out run/topics", out)
	s.say("go run . classify -model run/topics \"Hugo tunes the piano.\"")
	s.say("go run . pretrain -corpus YOUR.txt -out run/mine -steps 1000")
}
