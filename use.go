package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// The commands that put a model to work: fill, next and embed with any
// pre-trained one, classify and answer with a fine-tuned one. Each takes its text
// from the arguments or, without any, from the lines of standard input, and writes
// a result for each, with -json an object a line.

// commandsFor are the commands for each kind of model.
var commandsFor = map[string]string{
	preTraining:    "fill, next, eval, embed, explain and finetune",
	classification: "classify, embed and explain",
	answering:      "answer, embed and explain",
}

// loadFor loads a model for a command that needs this architecture.
func (c *call) loadFor(dir, wanted string) (*Model, *Tokenizer, error) {
	m, t, err := c.loadModel(dir)
	if err != nil {
		return nil, nil, err
	}
	if is := m.Config.architecture(); is != wanted {
		return nil, nil, fmt.Errorf("%s is a %s, which is for %s; this command wants a %s", dir, is, commandsFor[is], wanted)
	}
	return m, t, m.canTakePairs(dir)
}

// canTakePairs returns an error if the model is too short for [CLS] A [SEP] B [SEP].
func (m *Model) canTakePairs(dir string) error {
	if n := m.Config.MaxPositionEmbeddings; n < minSeq {
		return fmt.Errorf("%s: max_position_embeddings is %d, want %d or more", dir, n, minSeq)
	}
	return nil
}

// eachInput calls use for the text of the arguments, a pair if there are two, or
// for each line of standard input, where a tab parts the two of a pair.
func (c *call) eachInput(use func(out io.Writer, a, b string) error) error {
	out := bufio.NewWriter(c.stdout)
	switch len(c.args) {
	case 2:
		return errors.Join(use(out, c.args[0], c.args[1]), out.Flush())
	case 1:
		a, b, _ := strings.Cut(c.args[0], "\t")
		return errors.Join(use(out, a, b), out.Flush())
	}
	in := bufio.NewReader(c.stdin)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if err != nil && err != io.EOF || line == "" {
			return errors.Join(ignoreEOF(err), out.Flush())
		}
		a, b, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
		if err := use(out, a, b); err != nil {
			return errors.Join(out.Flush(), fmt.Errorf("standard input, line %d: %w", n, err))
		}
		if in.Buffered() == 0 { // whoever is waiting for the answer
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// sequence encodes a text for the model, and says so if it had to be cut.
func (c *call) sequence(m *Model, t *Tokenizer, a, b string) (ids, segments []int32, err error) {
	if strings.TrimSpace(a) == "" {
		return nil, nil, errors.New("there is no text")
	}
	ids, segments, cut := sequence(t, a, b, m.Config.MaxPositionEmbeddings)
	if cut > 0 {
		c.note("a text has %d tokens, the model %d positions: %d tokens were cut off", len(ids)+cut, len(ids), cut)
	}
	return ids, segments, nil
}

func fill(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`")
	best := c.flags.Int("best", 5, "how many tokens for each [MASK]")
	asJSON := c.flags.Bool("json", false, "write a JSON object for each text")
	if err := c.parseUpTo(1, "model"); err != nil {
		return err
	}
	if *best < 1 {
		return usagef("-best is %d, want 1 or more", *best)
	}
	m, t, err := c.loadFor(*model, preTraining)
	if err != nil {
		return err
	}
	return c.eachInput(func(out io.Writer, a, b string) error {
		ids, segments, err := c.sequence(m, t, a, b)
		if err != nil {
			return err
		}
		masks := m.Fill(t, ids, segments, *best)
		if len(masks) == 0 {
			if slices.Contains(slices.Concat(t.Encode(a), t.Encode(b)), t.mask) {
				return errors.New("the [MASK] was cut off with the end of the text")
			}
			return errors.New("there is no [MASK] in the text")
		}
		if *asJSON {
			return json.NewEncoder(out).Encode(map[string]any{"tokens": t.Tokens(ids), "masks": masks})
		}
		if len(c.args) == 0 {
			fmt.Fprintln(out, t.Text(ids))
		}
		for i, guesses := range masks {
			if i > 0 {
				fmt.Fprintln(out)
			}
			guesses.print(out, "")
		}
		return nil
	})
}

// print writes a line for each guess.
func (g Guesses) print(out io.Writer, indent string) {
	for _, guess := range g.Best {
		fmt.Fprintf(out, "%s%5.1f%%  %s\n", indent, 100*guess.Probability, guess.Token)
	}
}

func next(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`")
	asJSON := c.flags.Bool("json", false, "write a JSON object for each pair")
	if err := c.parseUpTo(2, "model"); err != nil {
		return err
	}
	m, t, err := c.loadFor(*model, preTraining)
	if err != nil {
		return err
	}
	return c.eachInput(func(out io.Writer, a, b string) error {
		if strings.TrimSpace(a) == "" || strings.TrimSpace(b) == "" {
			return errors.New("want two sentences, neither of them empty (in a line, with a tab between them)")
		}
		ids, segments, err := c.sequence(m, t, a, b)
		if err != nil {
			return err
		}
		isNext := m.IsNext(ids, segments)
		if *asJSON {
			return json.NewEncoder(out).Encode(map[string]any{"is_next": isNext, "not_next": 1 - isNext})
		}
		_, err = fmt.Fprintln(out, verdict(isNext))
		return err
	})
}

// verdict says in words how probable it is that B follows A.
func verdict(isNext float32) string {
	name := "IsNext"
	if isNext < 0.5 {
		name = "NotNext"
	}
	return fmt.Sprintf("%s   (B follows A with probability %.1f%%)", name, 100*isNext)
}

// An Embedding is what a model makes of a text as a whole.
type Embedding struct {
	Pooled []float32 `json:"pooled,omitempty"` // what the heads see, from [CLS] after the last layer
	Mean   []float32 `json:"mean"`             // of all tokens after one layer
}

// Embed returns a text's embedding. The layer is counted as in Hugging Face's
// hidden_states: 0 is the embeddings, 1 the first layer; −1 is the last one.
func (m *Model) Embed(ids, segments []int32, layer int) (Embedding, error) {
	layers := len(m.encoder)
	if layer < -layers-1 || layer > layers {
		return Embedding{}, usagef("-layer is %d, want %d to %d", layer, -layers-1, layers)
	}
	if layer < 0 {
		layer += layers + 1
	}
	x, b := m.see(ids, segments)
	e := Embedding{Mean: make([]float32, m.Config.HiddenSize)}
	if m.pooler != nil {
		e.Pooled = m.pooler.Forward(x, b.Starts)
	}
	if layer < layers {
		x = m.embeddings.y
		if layer > 0 {
			x = m.encoder[layer-1].output.norm.y.floats
		}
	}
	for at := 0; at < len(x); at += len(e.Mean) {
		kernels.add(e.Mean, x[at:at+len(e.Mean)])
	}
	kernels.scale(e.Mean, 1/float32(len(ids)))
	return e, nil
}

func embed(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`")
	layer := c.flags.Int("layer", -1, "which layer the mean is of: 0 is the embeddings, 1 the first layer, -1 the last")
	c.flags.Bool("json", true, "write a JSON object for each text (there is no other way)")
	if err := c.parseUpTo(1, "model"); err != nil {
		return err
	}
	m, t, err := LoadModel(*model)
	if err == nil {
		err = m.canTakePairs(*model)
	}
	if err != nil {
		return err
	}
	return c.eachInput(func(out io.Writer, a, b string) error {
		ids, segments, err := c.sequence(m, t, a, b)
		if err != nil {
			return err
		}
		e, err := m.Embed(ids, segments, *layer)
		if err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(e)
	})
}

func classify(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`, fine-tuned with -task classify")
	asJSON := c.flags.Bool("json", false, "write a JSON object for each text")
	if err := c.parseUpTo(2, "model"); err != nil {
		return err
	}
	m, t, err := c.loadFor(*model, classification)
	if err != nil {
		return err
	}
	labels := m.Config.Labels()
	return c.eachInput(func(out io.Writer, a, b string) error {
		ids, segments, err := c.sequence(m, t, a, b)
		if err != nil {
			return err
		}
		p := m.Classify([]Case{{Tokens: ids, Segments: segments}})[0]
		best := argmax(p)
		if *asJSON {
			all := map[string]float32{}
			for i, label := range labels {
				all[label] = p[i]
			}
			return json.NewEncoder(out).Encode(map[string]any{"label": labels[best], "probability": p[best], "probabilities": all})
		}
		fmt.Fprintf(out, "%s\t%.1f%%", labels[best], 100*p[best])
		for i, label := range labels {
			if i != best {
				fmt.Fprintf(out, "\t%s %.1f%%", label, 100*p[i])
			}
		}
		_, err = fmt.Fprintln(out)
		return err
	})
}

func answer(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`, fine-tuned with -task answer")
	file := c.flags.String("context", "", "`FILE` with the text that has the answer, or - for standard input")
	limits := c.limitFlags()
	threshold := c.flags.Float64("threshold", 0, "how much better than every answer \"no answer\" has to be")
	asJSON := c.flags.Bool("json", false, "write a JSON object for each question")
	if err := c.parseUpTo(1, "model", "context"); err != nil {
		return err
	}
	if *file == "-" && len(c.args) == 0 {
		return usagef("with -context - the question has to be an argument")
	}
	m, t, err := c.loadFor(*model, answering)
	if err != nil {
		return err
	}
	l, err := limits(m)
	if err != nil {
		return err
	}
	text, err := c.readAll(*file)
	if err != nil {
		return err
	}
	passage := newPassage(t, text)
	if len(passage.ids) == 0 {
		return fmt.Errorf("%s: there is no text in it", *file)
	}
	return c.eachInput(func(out io.Writer, a, b string) error {
		q := &Question{Passage: passage, ids: t.Encode(a + " " + b)}
		if len(q.ids) == 0 {
			return errors.New("there is no question")
		}
		answer := m.Answer(t, q, l, *threshold)
		if *asJSON {
			return json.NewEncoder(out).Encode(answer)
		}
		if answer.Text == "" {
			_, err = fmt.Fprintf(out, "no answer\t\t%.1f%%\n", 100*answer.Score)
			return err
		}
		line := strings.Join(strings.Fields(answer.Text), " ")
		_, err = fmt.Fprintf(out, "%s\t%d-%d\t%.1f%%\n", line, answer.Start, answer.End, 100*answer.Score)
		return err
	})
}

// limitFlags are -max-seq, -overlap and -max-answer, and a function that returns
// them for a model once they are parsed.
func (c *call) limitFlags() func(m *Model) (Limits, error) {
	var given Limits
	c.flags.IntVar(&given.MaxSeq, "max-seq", 0, "most tokens of a sequence (0: 384 or the model's positions; with labels 128)")
	c.flags.IntVar(&given.Overlap, "overlap", -1, "tokens that two windows of a long context share (-1: a third of -max-seq)")
	c.flags.IntVar(&given.MaxAnswer, "max-answer", 0, "most tokens of an answer (0: 30)")
	return func(m *Model) (Limits, error) {
		l := defaultLimits(m.Config.MaxPositionEmbeddings)
		if given.MaxSeq != 0 {
			l.MaxSeq, l.Overlap = given.MaxSeq, given.MaxSeq/3
		}
		if given.Overlap >= 0 {
			l.Overlap = given.Overlap
		}
		if given.MaxAnswer != 0 {
			l.MaxAnswer = given.MaxAnswer
		}
		if l.MaxAnswer < 1 || given.Overlap < -1 {
			return l, usagef("-max-answer is %d and -overlap %d, want more", given.MaxAnswer, given.Overlap)
		}
		return l, m.checkLength(l.MaxSeq)
	}
}

// readAll reads a file, or - for standard input.
func (c *call) readAll(name string) (string, error) {
	if name == "-" {
		data, err := io.ReadAll(c.stdin)
		return string(data), wrap("standard input", err)
	}
	data, err := os.ReadFile(name)
	return string(data), err
}
