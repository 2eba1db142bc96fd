package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
)

// The command eval: how well a model does on a text that it has not been trained on.

func eval(c *call) error {
	defer littleGarbage()()
	model := c.flags.String("model", "", "model folder `DIR`")
	names := c.corpusFlag()
	file := c.flags.String("examples", "", "examples `FILE` instead")
	maxSeq := c.flags.Int("max-seq", 128, "most tokens of an example of the corpus")
	seed := c.flags.Uint64("seed", 1, "seed of its pairs and masks")
	asJSON := c.flags.Bool("json", false, "write one JSON object")
	if err := c.parse(0, "model"); err != nil {
		return err
	}
	if (len(*names) == 0) == (*file == "") {
		return usagef("want either -corpus or -examples")
	}
	m, t, err := c.loadFor(*model, preTraining)
	if err != nil {
		return err
	}
	list, err := c.evalExamples(m, t, *names, *file, *maxSeq, *seed)
	if err != nil {
		return err
	}
	e := Evaluate(m, list, t.mask, UnigramOf(list, m.Config.VocabSize))
	report := e.Metrics(0, 0)
	if *asJSON {
		return json.NewEncoder(c.stdout).Encode(struct {
			Examples int     `json:"examples"`
			Tokens   int     `json:"masked_tokens"`
			MLMLoss  float64 `json:"mlm_loss"`
			MLM      float64 `json:"mlm_accuracy"`
			NSPLoss  float64 `json:"nsp_loss"`
			NSP      float64 `json:"nsp_accuracy"`
			*EvalMetrics
		}{e.NSPCount, e.MLMCount, report.MLMLoss, report.MLMAccuracy, report.NSPLoss, report.NSPAccuracy, report.EvalMetrics})
	}
	if err := sound(report); err != nil {
		return err
	}
	return e.write(c.stdout, report)
}

// write writes an evaluation as a table.
func (e *Evaluation) write(w io.Writer, r Metrics) error {
	fmt.Fprintf(w, "masked tokens   loss %.4f   accuracy %5.1f%%   (%d tokens)\n", r.MLMLoss, 100*r.MLMAccuracy, e.MLMCount)
	fmt.Fprintf(w, "                perplexity %.1f   among the first five %.1f%%\n", r.Perplexity, 100*r.Top5)
	fmt.Fprintf(w, "                where [MASK] stands %.1f%%, another token %.1f%%, the token itself %.1f%%\n", 100*r.Masked, 100*r.Replaced, 100*r.Kept)
	fmt.Fprintf(w, "by frequency    loss %.4f   accuracy %5.1f%%\n", r.UnigramLoss, 100*r.UnigramAccuracy)
	_, err := fmt.Fprintf(w, "next sentence   loss %.4f   accuracy %5.1f%%   (%d pairs; 95%% interval %.1f to %.1f%%)\n", r.NSPLoss, 100*r.NSPAccuracy, e.NSPCount, 100*r.NSPInterval[0], 100*r.NSPInterval[1])
	return err // an output's first
}

// evalExamples are those of a file, or one epoch of a corpus.
func (c *call) evalExamples(m *Model, t *Tokenizer, names corpora, file string, maxSeq int, seed uint64) (iter.Seq[Example], error) {
	if file != "" {
		list, err := LoadExamples(file, m, t)
		return slices.Values(list), err
	}
	if err := m.checkLength(maxSeq); err != nil {
		return nil, err
	}
	text, err := c.readTokens(names, t)
	if err != nil {
		return nil, err
	}
	return NewStream(text, t, text.AllDocuments(), maxSeq, seed).Epoch(1), nil
}
