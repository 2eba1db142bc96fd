package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The commands that put a model to work: fill and next with any pre-trained one, classify,
// tag and answer with a fine-tuned one. Each takes its text from the arguments or, without any,
// from the lines of standard input, and writes a result for each, with -json an object a line.

// eachInput calls use for the text of the arguments, a pair if there are two, or
// for each line of standard input, where a tab parts the two of a pair. finish
// is called at the end and when somebody may be waiting for what has not come out yet.
// A line without text has a result, too, for the results to be those of the lines one by one:
// an empty line or, with -json, empty.
func (c *call) eachInput(empty map[string]any, use func(out io.Writer, a, b string) error, finish func(out io.Writer) error) error {
	out := bufio.NewWriter(c.stdout)
	c.countInvalid(c.args...)
	end := func(err error) error {
		return errors.Join(err, finish(out), out.Flush())
	}
	switch len(c.args) {
	case 2:
		return end(use(out, c.args[0], c.args[1]))
	case 1:
		a, b, _ := strings.Cut(c.args[0], "\t")
		return end(use(out, a, b))
	}
	text, err := asUTF8(c.stdin)
	if err != nil {
		return wrap("standard input", err)
	}
	in := bufio.NewReader(text)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if err != nil && err != io.EOF || line == "" {
			return end(wrap("standard input", ignoreEOF(err)))
		}
		c.countInvalid(line)
		a, b, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
		err = use(out, a, b)
		if errors.Is(err, errNoText) {
			if err = finish(out); c.asJSON() {
				err = cmp.Or(err, json.NewEncoder(out).Encode(empty))
			} else {
				fmt.Fprintln(out)
			}
		}
		if err == nil {
			_, err = out.Write(nil) // whether it could write all that
		}
		if err != nil {
			return end(fmt.Errorf("standard input, line %d: %w", n, err))
		}
		if in.Buffered() == 0 {
			if err := end(nil); err != nil {
				return err
			}
		}
	}
}

// eachBatch is eachInput for a model that takes many texts at a time. sequence makes of a
// text what the model is given, and results are those of a batch, in the order of the input.
func (c *call) eachBatch(empty map[string]any, sequence func(a, b string) (ids, segments []int32, err error), results func(b *Batch) []result) error {
	var batch Batch
	batch.Reset()
	finish := func(out io.Writer) error {
		if len(batch.Starts) == 1 {
			return nil
		}
		defer batch.Reset()
		for _, r := range results(&batch) {
			if err := c.write(out, r); err != nil {
				return err
			}
		}
		return nil
	}
	return c.eachInput(empty, func(out io.Writer, a, b string) error {
		ids, segments, err := sequence(a, b)
		if err != nil {
			return err
		}
		if batch.Add(ids, segments); len(batch.Tokens) >= PredictedTokens {
			return finish(out)
		}
		return nil
	}, finish)
}

// A result is what a model makes of a text: an object for -json, and lines to read.
type result struct {
	object any
	lines  string
}

// asJSON tells whether -json is given.
func (c *call) asJSON() bool { return c.flags.Lookup("json").Value.String() == "true" }

// write writes a result as a JSON object or, unless a number in it is none, in lines.
func (c *call) write(out io.Writer, r result) error {
	if c.asJSON() {
		return json.NewEncoder(out).Encode(r.object)
	}
	if err := sound(r.object); err != nil {
		return err
	}
	_, err := io.WriteString(out, r.lines)
	return err
}

func fill(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`")
	best := c.flags.Int("best", 5, "how many tokens for each [MASK]")
	c.flags.Bool("json", false, "write a JSON object for each text")
	if err := c.parse(1, "model"); err != nil {
		return err
	}
	if *best < 1 {
		return usagef("-best is %d, want 1 or more", *best)
	}
	m, t, err := c.loadFor(*model, preTraining, theMLMHead)
	if err != nil {
		return err
	}
	return c.eachBatch(map[string]any{"tokens": []int{}, "masks": []int{}}, func(a, b string) (ids, segments []int32, err error) {
		ids, segments, err = c.sequence(m, t, a, b)
		if err == nil && !slices.Contains(ids, t.mask) {
			err = errors.New("there is no [MASK] in the text")
			if slices.Contains(slices.Concat(t.Encode(a), t.Encode(b)), t.mask) {
				err = errors.New("the [MASK] was cut off with the end of the text")
			}
		}
		return ids, segments, err
	}, func(b *Batch) (results []result) {
		for i, masks := range m.Fill(t, b, *best) {
			ids := b.Tokens[b.Starts[i]:b.Starts[i+1]]
			var lines strings.Builder
			if len(c.args) == 0 {
				fmt.Fprintln(&lines, t.Text(ids))
			}
			for k, guesses := range masks {
				if k > 0 {
					fmt.Fprintln(&lines)
				}
				guesses.print(&lines, "")
			}
			results = append(results, result{map[string]any{"tokens": t.Tokens(ids), "masks": masks}, lines.String()})
		}
		return results
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
	c.flags.Bool("json", false, "write a JSON object for each pair")
	if err := c.parse(2, "model"); err != nil {
		return err
	}
	m, t, err := c.loadFor(*model, preTraining, thePooler, theNSPHead)
	if err != nil {
		return err
	}
	return c.eachBatch(map[string]any{"is_next": nil, "not_next": nil}, func(a, b string) (ids, segments []int32, err error) {
		ids, segments, err = c.sequence(m, t, a, b)
		if err == nil && !slices.Contains(segments, 1) {
			err = errors.New("want two sentences, neither of them empty (in a line, with a tab between them)")
		}
		return ids, segments, err
	}, func(b *Batch) (results []result) {
		for _, isNext := range m.IsNext(b) {
			results = append(results, result{map[string]any{"is_next": isNext, "not_next": 1 - isNext}, verdict(isNext) + "\n"})
		}
		return results
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

func classify(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`, fine-tuned with -task classify")
	c.flags.Bool("json", false, "write a JSON object for each text")
	if err := c.parse(2, "model"); err != nil {
		return err
	}
	m, t, err := c.loadFor(*model, classification)
	if err != nil {
		return err
	}
	if m.Config.ProblemType == "" && m.Config.Task() == aNumber {
		c.note("%s has one label and no problem_type: its numbers are the logits, as they are", *model)
	}
	sequence := func(a, b string) (ids, segments []int32, err error) { return c.sequence(m, t, a, b) }
	return c.eachBatch(noLabels(&m.Config), sequence, func(b *Batch) (results []result) {
		for _, p := range m.Classify(b) {
			results = append(results, labelsResult(&m.Config, p))
		}
		return results
	})
}

// noLabels is the object of labelsResult for no text.
func noLabels(config *Config) map[string]any {
	switch config.Task() {
	case aNumber:
		if len(config.Labels()) > 1 {
			return map[string]any{"numbers": map[string]any{}}
		}
		return map[string]any{"number": nil}
	case severalLabels:
		return map[string]any{"labels": []string{}, "probabilities": map[string]any{}}
	}
	return map[string]any{"label": nil, "probability": nil, "probabilities": map[string]any{}}
}

// labelsResult is how probable each label is, the best first; where several may be right, those
// that are more probable than not with commas between them first, and of numbers the number.
func labelsResult(config *Config, p []float32) result {
	labels, all := config.Labels(), map[string]float32{}
	for i, label := range labels {
		all[label] = p[i]
	}
	var line strings.Builder
	switch config.Task() {
	case aNumber:
		fmt.Fprintf(&line, "%.4f", p[0])
		for _, v := range p[1:] {
			fmt.Fprintf(&line, "\t%.4f", v)
		}
		object := map[string]any{"number": p[0]}
		if len(p) > 1 {
			object = map[string]any{"numbers": all}
		}
		return result{object, line.String() + "\n"}
	case severalLabels:
		right := []string{}
		for _, i := range descending(p) {
			if p[i] > 0.5 {
				right = append(right, labels[i])
			}
			fmt.Fprintf(&line, "\t%s %.1f%%", labels[i], 100*p[i])
		}
		return result{map[string]any{"labels": right, "probabilities": all}, strings.Join(right, ",") + line.String() + "\n"}
	}
	best := argmax(p)
	fmt.Fprintf(&line, "%s\t%.1f%%", labels[best], 100*p[best])
	for i, label := range labels {
		if i != best {
			fmt.Fprintf(&line, "\t%s %.1f%%", label, 100*p[i])
		}
	}
	return result{map[string]any{"label": labels[best], "probability": p[best], "probabilities": all}, line.String() + "\n"}
}

func tag(c *call) error {
	model := c.flags.String("model", "", "model folder `DIR`, fine-tuned with -task tag")
	c.flags.Bool("json", false, "write a JSON object for each text")
	if err := c.parse(1, "model"); err != nil {
		return err
	}
	m, t, err := c.loadFor(*model, tagging)
	if err != nil {
		return err
	}
	var waiting []*Passage
	return c.eachBatch(map[string]any{"found": []Found{}}, func(a, b string) (ids, segments []int32, err error) {
		if b != "" {
			a += "\t" + b // a tab parts nothing here
		}
		room := m.Config.MaxPositionEmbeddings - 2
		passage, cut := FirstOfPassage(t, a, room)
		if len(passage.ids) == 0 {
			return nil, nil, errNoText
		}
		if cut > 0 {
			c.note("a text has %d tokens, the model room for %d: the last %d have no label", room+cut, room, cut)
		}
		waiting = append(waiting, passage)
		ids, segments = t.Pair(passage.ids, nil)
		return ids, segments, nil
	}, func(b *Batch) (results []result) {
		passages := waiting
		waiting = nil
		all := m.Tag(t, b, passages)
		if x := m.encoder[len(m.encoder)-1].output.norm.y; !finite(float64(kernels.dot(x, x))) { // a word may be nothing, and not said
			return []result{{object: kernels.dot(x, x)}} // which is not sound
		}
		for i, found := range all {
			var lines strings.Builder
			if len(c.args) == 0 {
				fmt.Fprintln(&lines, passages[i].Text)
			}
			for _, f := range found {
				fmt.Fprintf(&lines, "   %s\t%d-%d\t%5.1f%%\t%s\n", f.Label, f.Start, f.End, 100*f.Score, strings.Join(strings.Fields(f.Text), " "))
			}
			results = append(results, result{map[string]any{"found": append([]Found{}, found...)}, lines.String()})
		}
		return results
	})
}

func answer(c *call) error {
	defer littleGarbage()()
	model := c.flags.String("model", "", "model folder `DIR`, fine-tuned with -task answer")
	file := c.flags.String("context", "", "`FILE` with the text that has the answer, or - for standard input")
	limits := c.limitFlags()
	threshold := c.flags.Float64("threshold", 0, "how much better than every answer \"no answer\" has to be")
	c.flags.Bool("json", false, "write a JSON object for each question; its score is the share among all answers (in Hugging Face it is p(start)·p(end))")
	if err := c.parse(1, "model", "context"); err != nil {
		return err
	}
	if *file == "-" && len(c.args) == 0 {
		return usagef("with -context - the question has to be an argument")
	}
	m, t, err := c.loadFor(*model, answering)
	if err != nil {
		return err
	}
	l, err := limits(m, answerSeq)
	if err != nil {
		return err
	}
	text, err := readInput(c, *file, io.ReadAll)
	if err != nil {
		return err
	}
	c.countInvalid(string(text))
	passage := NewPassage(t, string(text))
	if len(passage.ids) == 0 {
		return fmt.Errorf("%s: there is no text in it", *file)
	}
	empty := map[string]any{"answer": nil, "start": nil, "end": nil, "score": nil, "no_answer": nil}
	return c.eachInput(empty, func(out io.Writer, a, b string) error {
		q := &Question{Passage: passage, ids: t.Encode(a + " " + b)}
		if len(q.ids) == 0 {
			return fmt.Errorf("%w, want a question", errNoText)
		}
		if cut := len(q.ids) - l.Question(); cut > 0 {
			c.note("the question has %d tokens, of which the last %d were cut off", len(q.ids), cut)
		}
		answer := m.Answer(t, q, l, *threshold)
		line := fmt.Sprintf("no answer\t\t%.1f%%\n", 100*answer.Score)
		if answer.Text != "" {
			text := strings.Join(strings.Fields(answer.Text), " ")
			line = fmt.Sprintf("%s\t%d-%d\t%.1f%%\n", text, answer.Start, answer.End, 100*answer.Score)
		}
		return c.write(out, result{answer, line})
	}, func(io.Writer) error { return nil })
}
