package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// fewQuestions is a short file in SQuAD's format.
const fewQuestions = `{"data": [{"paragraphs": [{"context": "Nora bakes the bread. Pip carries the flour over the bridge.", "qas": [
	{"id": "1", "question": "Who bakes?", "answers": [{"text": "Nora", "answer_start": 0}]},
	{"id": "2", "question": "What does Pip carry?", "answers": [{"text": "the flour", "answer_start": 34}]},
	{"id": "3", "question": "Who sings?", "is_impossible": true, "answers": []}]}]}]}`

// tuned are models that finetune has written: a classifier and one that answers.
func tuned(t *testing.T, model string) (classifier, answerer, labelled string) {
	t.Helper()
	dir := t.TempDir()
	classifier, answerer, labelled = filepath.Join(dir, "classifier"), filepath.Join(dir, "answerer"), filepath.Join(dir, "task.tsv")
	lines := strings.SplitAfter(string(taskText), "\n")
	check(t, os.WriteFile(labelled, []byte(strings.Join(lines[12:36], "")), 0o666)) // half of two labels
	questions := filepath.Join(dir, "questions.json")
	check(t, os.WriteFile(questions, []byte(fewQuestions), 0o666))
	for _, args := range [][]string{
		{"-task", "classify", "-train", labelled, "-out", classifier},
		{"-task", "answer", "-train", questions, "-eval", questions, "-out", answerer},
	} {
		status, stdout, stderr := runHere("", append([]string{"finetune", "-model", model, "-epochs", "2", "-lr", "1e-2"}, args...)...)
		if status != exitDone || !strings.Contains(stdout, "%") || strings.Count(stderr, "epoch ") != 3 {
			t.Fatalf("%v: exit status %d, %q, %q", args, status, stdout, stderr)
		}
		metrics, err := os.ReadFile(filepath.Join(args[len(args)-1], "metrics.jsonl"))
		check(t, err)
		var first Epoch
		check(t, json.Unmarshal([]byte(strings.Split(string(metrics), "\n")[0]), &first))
		if first.Epoch != 1 || first.Loss <= 0 || !first.Best {
			t.Errorf("metrics.jsonl has %s", metrics)
		}
	}
	return classifier, answerer, labelled
}

// The fine-tuned models are put to work, by arguments and in a pipe, for text and
// for programs.
func TestModelsAtWork(t *testing.T) {
	model, _ := trained(t)
	classifier, answerer, labelled := tuned(t, model)
	passage := filepath.Join(t.TempDir(), "passage.txt")
	const text = "Der Müller heißt Emil. He grinds the flour."
	check(t, os.WriteFile(passage, []byte(text), 0o666))
	result := func(stdin string, args ...string) []string {
		t.Helper()
		status, stdout, stderr := runHere(stdin, args...)
		said := strings.Contains(stderr, `: label: column 1, sentence: column 2; 24 rows, 2 labels: "baking" "sea"`)
		if status != exitDone || said != (args[0] == "finetune") || !said && stderr != "" {
			t.Fatalf("%v: exit status %d: %s", args, status, stderr)
		}
		return strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	}
	object := func(line string) (fields map[string]any) {
		t.Helper()
		check(t, json.Unmarshal([]byte(line), &fields))
		return fields
	}

	one := result("", "classify", "-model", classifier, "The bread is warm.")
	if label, _, _ := strings.Cut(one[0], "\t"); label != "baking" && label != "sea" {
		t.Errorf("classify writes %q", one)
	}
	piped := result("The bread is warm.\nThe waves are high.\r\nA\tB", "classify", "-model", classifier)
	equal(t, len(piped), 3)
	equal(t, piped[0], one[0])
	fields := object(result("", "classify", "-model", classifier, "-json", "A", "B")[0])
	probabilities := fields["probabilities"].(map[string]any)
	if p := probabilities["baking"].(float64) + probabilities["sea"].(float64); p < 0.999 || p > 1.001 {
		t.Errorf("the probabilities are %v", probabilities)
	}
	equal(t, fields["probability"], probabilities[fields["label"].(string)])
	equal(t, object(result("A\tB\n", "classify", "-model", classifier, "-json")[0]), fields)

	always := []string{"answer", "-model", answerer, "-context", passage, "-threshold", "1e9"}
	fields = object(result("", append(always, "-json", "Who grinds?")...)[0])
	begin, end := int(fields["start"].(float64)), int(fields["end"].(float64))
	if answer := string([]rune(text)[begin:end]); answer == "" || answer != fields["answer"] {
		t.Errorf("the answer is %v", fields)
	}
	lines := result("Who grinds?\nWho sells?\n", always...)
	equal(t, len(lines), 2)
	equal(t, strings.Split(lines[0], "\t")[:2], []string{fields["answer"].(string), fmt.Sprintf("%d-%d", begin, end)})
	lines = result(text, "answer", "-model", answerer, "-context", "-", "-threshold", "-1e9", "Who grinds?")
	equal(t, strings.HasPrefix(lines[0], "no answer\t\t"), true)

	for _, m := range []string{model, classifier} {
		last := object(result("", "embed", "-model", m, "The bread.")[0])
		for _, layer := range []string{"1", "-1"} { // the model has one layer
			equal(t, object(result("The bread.\n", "embed", "-model", m, "-layer", layer, "-json")[0]), last)
		}
		below := object(result("The bread.\n", "embed", "-model", m, "-layer", "-2")[0])
		equal(t, below["pooled"], last["pooled"])
		equal(t, len(below["mean"].([]any)), 32)
		if fmt.Sprint(below["mean"]) == fmt.Sprint(last["mean"]) {
			t.Error("two layers have the same mean")
		}
	}
	if _, ok := object(result("", "embed", "-model", answerer, "The bread.")[0])["pooled"]; ok {
		t.Error("a model without a pooler gives a pooled vector")
	}

	equal(t, len(result("The [MASK] is [MASK].\nThe [MASK].\n", "fill", "-model", model, "-json")), 2)
	equal(t, len(result("The [MASK] is [MASK].\nThe [MASK].\n", "fill", "-model", model, "-best", "2")), 1+2+1+2+1+2)
	equal(t, len(result("Nora bakes.\tThe bread is warm.\nA.\tB.\n", "next", "-model", model)), 2)

	table := result("", "finetune", "-model", model, "-task", "classify", "-train", labelled, "-study", "-epochs", "1", "-seeds", "2")
	equal(t, len(table), 1+4) // 1, 2, 4 and all 6 of 12
	var row StudyRow
	check(t, json.Unmarshal([]byte(result("", "finetune", "-model", model, "-task", "classify", "-train", labelled, "-eval", labelled, "-study", "-epochs", "1", "-seeds", "1", "-json")[4]), &row))
	if row.Labels != 0 || row.Score[frozen].Mean == 0 {
		t.Errorf("the last row is %+v", row)
	}
}

// An explanation is what explain writes for two sentences, step by step, and the model
// that it is about, after it has seen the same.
type explanation struct {
	model  string
	steps  []string // from 1
	m      *Model
	t      *Tokenizer
	ids    []int32
	tokens []string
}

const sentenceA, sentenceB = "The bread is in the [MASK].", "The boat is on the sea, and Nora bakes."

// resultOf is what a command writes that has nothing to complain about.
func resultOf(t *testing.T, args ...string) string {
	t.Helper()
	status, stdout, stderr := runHere("", args...)
	if status != exitDone || stderr != "" {
		t.Fatalf("%v: exit status %d: %s", args, status, stderr)
	}
	return stdout
}

func explained(t *testing.T, more ...string) *explanation {
	t.Helper()
	e := &explanation{}
	e.model, _ = trained(t)
	text := resultOf(t, append([]string{"explain", "-model", e.model}, append(more, sentenceA, sentenceB)...)...)
	narrow(t, text)
	e.steps = regexp.MustCompile(`(?m)^\d\. `).Split(text, -1)
	equal(t, len(e.steps), 1+4)
	var err error
	e.m, e.t, _, err = LoadModel(e.model)
	check(t, err)
	ids, segments := e.t.Pair(e.t.Encode(sentenceA), e.t.Encode(sentenceB))
	e.ids, e.tokens = ids, e.t.Tokens(ids)
	e.m.EncodeOne(ids, segments)
	return e
}

// row are the cells of a row, which lines may have parted.
func (e *explanation) row(step int, name string) (cells []string) {
	for line := range strings.Lines(e.steps[step]) {
		if rest, ok := strings.CutPrefix(line, "   "+name+" "); ok {
			cells = append(cells, strings.Fields(rest)...)
		}
	}
	return cells
}

// sumOfCells is what numbers or percentages add up to.
func sumOfCells(t *testing.T, cells ...string) (sum float64) {
	t.Helper()
	for _, cell := range cells {
		v, err := strconv.ParseFloat(strings.TrimSuffix(cell, "%"), 64)
		check(t, err)
		sum += v
	}
	return sum
}

// explain shows the tokenizer's ids, vectors that add up and are then normalised, and
// what fill and next say.
func TestExplain(t *testing.T) {
	e := explained(t)
	n, h, y := len(e.ids), e.m.Config.HiddenSize, e.m.embeddings.y
	equal(t, e.row(1, "token"), e.tokens)
	equal(t, e.row(1, "id"), strings.Fields(strings.Trim(fmt.Sprint(e.ids), "[]")))
	equal(t, e.row(1, "segment")[n-1], "B")
	equal(t, e.row(1, "position")[n-1], fmt.Sprint(n-1))

	for _, names := range [][4]string{
		{`token "the"`, "segment A", "position 1", "their sum"},
		{"token     ", "+ segment", "+ position", "= sum"},
	} {
		token, segment, position, sum := e.row(2, names[0]), e.row(2, names[1]), e.row(2, names[2]), e.row(2, names[3])
		equal(t, len(sum) == 7 || len(sum) == n, true) // six numbers and …, or one of each token
		for i := range min(6, len(sum)) {
			if got, want := sumOfCells(t, token[i], segment[i], position[i]), sumOfCells(t, sum[i]); !(math.Abs(got-want) <= 0.0021) {
				t.Errorf("%s's vectors add up to %v, want %v", names[0], got, want)
			}
		}
	}
	var normalised []string // six numbers of token 1 and …, then one of each token
	for _, v := range y[h:][:6] {
		normalised = append(normalised, fmt.Sprintf("%.3f", v))
	}
	normalised = append(normalised, "…")
	for i := range n {
		normalised = append(normalised, fmt.Sprintf("%.3f", y[i*h]))
	}
	equal(t, e.row(2, "normalised"), normalised)

	for line := range strings.Lines(resultOf(t, "fill", "-model", e.model, sentenceA+"\t"+sentenceB) + resultOf(t, "next", "-model", e.model, sentenceA, sentenceB)) {
		equal(t, strings.Contains(e.steps[4], "   "+line), true)
	}
	equal(t, strings.Contains(resultOf(t, "explain", "-model", e.model, "The bread."), "nothing to guess"), true)

	status, stdout, stderr := runHere("", "explain", "-vocab", filepath.Join(e.model, vocabFile), sentenceA, sentenceB)
	equal(t, status, exitDone)
	equal(t, strings.HasPrefix(stderr, "the model is new"), true)
	first, _, _ := strings.Cut(stdout, "\n2.") // the tokens are those of the model
	equal(t, strings.TrimSpace(first), strings.TrimSpace("1. "+e.steps[1]))
}

// explain shows where one head looks, or all on average: shares that make a whole, and
// the greatest of them first.
func TestExplainAttention(t *testing.T) {
	percent := regexp.MustCompile(`\d+%`)
	for _, c := range []struct {
		args  []string
		heads []int // that are shown, from 0
	}{
		{nil, []int{0, 1}},
		{[]string{"-layer", "1", "-head", "1"}, []int{0}},
		{[]string{"-layer", "1", "-head", "2"}, []int{1}},
	} {
		e := explained(t, c.args...)
		n := len(e.ids)
		for i, token := range e.tokens {
			probs := make([]float32, n)
			for _, head := range c.heads {
				for j, share := range e.m.encoder[0].attention.probs[(head*n+i)*n:][:n] { // of (A, T, T)
					probs[j] += share / float32(len(c.heads))
				}
			}
			most := argmax(probs)
			line := regexp.MustCompile(fmt.Sprintf(`(?m)^ +%d %s +%.0f%% %s %d .*$`, i, regexp.QuoteMeta(token), 100*probs[most], regexp.QuoteMeta(e.tokens[most]), most)).FindString(e.steps[3])
			shares := percent.FindAllString(line, -1)
			equal(t, len(shares), 3+1)
			if sum := sumOfCells(t, shares...); math.Abs(sum-100) > 2 {
				t.Errorf("%v: the shares of %s add up to %v", c.args, token, sum)
			}
		}
		for h := range e.m.Config.NumAttentionHeads {
			var shares []string
			for _, name := range habitNames {
				shares = append(shares, e.row(3, name)[h])
			}
			if sum := sumOfCells(t, shares...); math.Abs(sum-100) > 3 {
				t.Errorf("the shares of head %d add up to %v", h+1, sum)
			}
		}
	}
}

// A head that looks at the token before is not said to look at the one after. (Those
// of a model that has learnt little look everywhere alike.)
func TestHeadsLookBeforeAndAfter(t *testing.T) {
	m := smallModel(t)
	ids := []int32{1, 2, 3, 4}
	n := len(ids)
	m.EncodeOne(ids, make([]int32, n))
	a := m.encoder[0].attention
	clear(a.probs)
	for i := range n {
		a.probs[i*n+max(i-1, 0)] = 1       // head 1: before, but for the first token
		a.probs[n*n+i*n+min(i+1, n-1)] = 1 // head 2: after, but for the last
		a.probs[2*n*n+i*n+i] = 1           // head 3: itself
		a.probs[3*n*n+i*n+(i+2)%n] = 1     // head 4: elsewhere
	}
	var out bytes.Buffer
	(&story{Writer: &out, m: m, t: &Tokenizer{sep: ids[n-2]}}).heads(a)
	equal(t, strings.Fields(out.String()), strings.Fields(`
		head 1 2 3 4
		the token before 75% 0% 0% 0%
		itself 25% 25% 100% 0%
		the token after 0% 75% 0% 0%
		[SEP] 0% 0% 0% 25%
		others 0% 0% 0% 75%`))
}

// narrow fails if a line of text is too long for a terminal.
func narrow(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line has %d characters, want at most 80: %s", n, line)
		}
	}
}

// Many texts at once give, in their order, to the bit what each gives by itself; and what was
// asked before a line that is wrong is answered.
func TestManyAtOnce(t *testing.T) {
	folder, _ := trained(t)
	classifier, _, _ := tuned(t, folder)
	var texts []string
	for i := range 150 {
		texts = append(texts, strings.Repeat("The [MASK] is warm. ", i%7+1)+"\tNora bakes "+strings.Repeat("bread ", i%5+1))
	}
	for _, args := range [][]string{
		{"fill", "-model", folder, "-json"}, {"next", "-model", folder, "-json"}, {"embed", "-model", folder},
		{"embed", "-model", folder, "-layer", "0"}, {"classify", "-model", classifier, "-json"}, {"classify", "-model", classifier},
	} {
		want := ""
		for _, text := range texts[:40] { // by then all lengths have come up
			_, stdout, stderr := runHere("", append(args[:len(args):len(args)], text)...)
			equal(t, stderr, "")
			want += stdout
		}
		status, stdout, stderr := runHere(strings.Join(texts, "\n"), args...)
		equal(t, status, exitDone, stderr)
		equal(t, strings.Count(stdout, "\n"), len(texts))
		equal(t, strings.HasPrefix(stdout, want), true, args[0])
		status, stdout, stderr = runHere(strings.Join(texts[:40], "\n")+"\n\tB\n"+texts[0], args...)
		equal(t, status, exitFailed)
		equal(t, stdout, want)
		equal(t, strings.Contains(stderr, "standard input, line 41: "), true, stderr)
	}
}

// explain takes any model, and text that is too long or has words as long as lines.
func TestExplainAnything(t *testing.T) {
	folder, _ := trained(t)
	classifier, answerer, _ := tuned(t, folder)
	long := strings.Repeat("ß", 90)
	words, err := os.ReadFile(filepath.Join(answerer, vocabFile))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(answerer, vocabFile), bytes.Replace(words, []byte("\nbread\n"), []byte("\n"+long+"\n"), 1), 0o666))
	check(t, os.Remove(filepath.Join(answerer, tokenizerFile)))
	for _, c := range []struct{ model, text, note string }{
		{classifier, "The bread.", ""},
		{answerer, "The " + long + " is " + long, ""},
		{answerer, strings.Repeat(long+" ", 70), "8 tokens were cut off"},
	} {
		status, stdout, stderr := runHere("", "explain", "-model", c.model, c.text)
		if status != exitDone || !strings.Contains(stderr, c.note) || c.note == "" && stderr != "" || strings.Contains(stdout, "4. ") != (c.model == folder) {
			t.Errorf("%s: exit status %d, %s, %s", c.model, status, stdout, stderr)
		}
		narrow(t, stdout)
	}
}

// A pair of sentences is learnt as a pair, by any way to fine-tune.
func TestPairsAreLearnt(t *testing.T) {
	model, _ := trained(t)
	var pairs strings.Builder
	pairs.WriteString("label,sentence1,sentence2\n")
	for i := range 24 {
		words := []string{"bread", "boat"}
		fmt.Fprintf(&pairs, "%s,The %s is here.,The %s is here.\n", []string{"same", "other"}[i%2], words[i/2%2], words[(i/2+i)%2])
	}
	file := filepath.Join(t.TempDir(), "pairs.csv")
	check(t, os.WriteFile(file, []byte(pairs.String()), 0o666))
	for _, more := range []string{"-dropout=0", "-scratch", "-freeze"} {
		out := filepath.Join(t.TempDir(), "out")
		status, stdout, stderr := runHere("", "finetune", "-model", model, "-task", "classify", "-train", file, "-eval", file, "-out", out, "-epochs", "30", "-lr", "1e-2", "-json", more)
		var score ClassScore
		if status != exitDone || json.Unmarshal([]byte(stdout), &score) != nil || score.Count != 24 || more != "-freeze" && score.Accuracy < 0.95 {
			t.Errorf("%s: exit status %d, %s, %s", more, status, stdout, stderr)
		}
	}
}

// What cannot be done is said in one line that names what is wrong; a model that is
// for something else is named, with the commands that fit it.
func TestErrorsAtWork(t *testing.T) {
	model, _ := trained(t)
	classifier, answerer, labelled := tuned(t, model)
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		check(t, os.WriteFile(name, []byte(text), 0o666))
		return name
	}
	same, gap := write("same.tsv", "a\tone\na\ttwo\n"), write("gap.tsv", "a\tone\n\nb\ttwo\n")
	unseen := write("unseen.tsv", "cooking\tNora stirs the soup.\n")
	bad := write("bad.json", `{"data":[{"paragraphs":[{"context":"Nora bakes.","qas":[{"id":"7","question":"Who?","answers":[{"text":"Pip","answer_start":0}]}]}]}]}`)
	empty, out := write("empty.txt", " \n"), filepath.Join(dir, "out")
	tune := func(more ...string) []string {
		return append([]string{"finetune", "-model", model, "-out", out}, more...)
	}
	for _, c := range []struct {
		status int
		want   string
		stdin  string
		args   []string
	}{
		{exitFailed, classifier + " is a BertForSequenceClassification, which is for classify, embed and explain; this command wants a BertForPreTraining", "", []string{"fill", "-model", classifier, "The [MASK]."}},
		{exitFailed, "is a BertForQuestionAnswering, which is for answer", "", []string{"next", "-model", answerer, "A", "B"}},
		{exitFailed, "is a BertForPreTraining, which is for fill, next, eval, embed, explain and finetune", "", []string{"classify", "-model", model, "A"}},
		{exitFailed, "is a BertForSequenceClassification", "", []string{"answer", "-model", classifier, "-context", empty, "Who?"}},
		{exitFailed, "is a BertForQuestionAnswering", "", []string{"eval", "-model", answerer, "-corpus", empty}},
		{exitFailed, "is a BertForQuestionAnswering", "", []string{"pretrain", "-init", answerer, "-corpus", labelled, "-out", out}},
		{exitFailed, empty + ": there is no text in it", "", []string{"answer", "-model", answerer, "-context", empty, "Who?"}},
		{exitFailed, "there is no text, want a question", "", []string{"answer", "-model", answerer, "-context", labelled, " "}},
		{exitFailed, "standard input, line 1: there is no text before the second", "\tB\n", []string{"classify", "-model", classifier}},
		{exitFailed, "standard input, line 1: want two sentences", "A\n", []string{"next", "-model", model}},
		{exitFailed, "standard input, line 1: there is no [MASK]", "A\n", []string{"fill", "-model", model}},
		{exitUsage, "-layer is 2, want -2 to 1", "", []string{"embed", "-model", model, "-layer", "2", "A"}},
		{exitUsage, "there is no sentence: (-model DIR | -vocab FILE) A [B]", "", []string{"explain", "-model", model}},
		{exitUsage, "there are 3 arguments, want at most 2", "", []string{"explain", "-model", model, "A", "B", "C"}},
		{exitUsage, "want either -model or -vocab", "", []string{"explain", "A"}},
		{exitUsage, "-cased means nothing with -model", "", []string{"explain", "-model", model, "-cased", "A"}},
		{exitUsage, "want either -model or -vocab", "", []string{"explain", "-model", model, "-vocab", "vocab.txt", "A"}},
		{exitUsage, "-layer is 2, want 1 to 1, or 0 for all", "", []string{"explain", "-model", model, "-layer", "2", "A"}},
		{exitUsage, "-head is -1, want 1 to 2, or 0 for the mean", "", []string{"explain", "-model", model, "-head", "-1", "A"}},
		{exitFailed, "config.json: no such file", "", []string{"explain", "-model", "missing", "A"}},
		{exitFailed, "there is no text", "", []string{"explain", "-model", model, " "}},
		{exitFailed, "there is no text\n", "", []string{"explain", "-model", model, "\u200b"}}, // no token at all
		{exitFailed, "there is no text\n", "", []string{"next", "-model", model, "\u200b", "\u200b"}},
		{exitFailed, "there is no text before the second", "", []string{"next", "-model", model, "\u200b", "B"}},
		{exitFailed, "there is no token in the second text", "", []string{"next", "-model", model, "A", "\u200b"}},
		{exitFailed, "there is no token in the second text", "", []string{"classify", "-model", classifier, "A", "\u200b"}},
		{exitFailed, "there is no token in the second text", "", []string{"explain", "-model", model, "A", "\u200b"}},
		{exitUsage, "with -context - the question", "", []string{"answer", "-model", answerer, "-context", "-"}},
		{exitUsage, "-max-answer is -1", "", []string{"answer", "-model", answerer, "-context", labelled, "-max-answer", "-1", "Who?"}},
		{exitFailed, same + `: all lines have the label "a"`, "", tune("-task", "classify", "-train", same)},
		{exitFailed, gap + ": line 2 is empty", "", tune("-task", "classify", "-train", gap)},
		{exitFailed, "standard input: line 2 is empty", "a\tone\n\nb\ttwo\n", tune("-task", "classify", "-train", "-")},
		{exitFailed, "standard input: all lines have the label \"a\"", "a\tone\n\n", tune("-task", "classify", "-train", "-")},
		{exitFailed, unseen + `: line 1: the label "cooking" does not come up in training`, "", tune("-task", "classify", "-train", labelled, "-eval", unseen)},
		{exitFailed, bad + `: question 1, id "7": the answer "Pip" does not stand at character 0 of the context, where "Nora`, "", tune("-task", "answer", "-train", bad)},
		{exitFailed, labelled + ": this is not SQuAD's JSON", "", tune("-task", "answer", "-train", labelled)},
		{exitFailed, "missing.tsv: no such file", "", tune("-task", "classify", "-train", "missing.tsv")},
		{exitFailed, "exists already", "", []string{"finetune", "-model", model, "-task", "classify", "-train", labelled, "-out", classifier}},
		{exitUsage, `-task is "sing", want classify, regress, multilabel, tag or answer`, "", tune("-task", "sing", "-train", labelled)},
		{exitUsage, "-out is missing", "", []string{"finetune", "-model", model, "-task", "classify", "-train", labelled}},
		{exitUsage, "-freeze and -scratch together", "", tune("-task", "classify", "-train", labelled, "-freeze", "-scratch")},
		{exitUsage, "-out means nothing with -study", "", tune("-task", "classify", "-train", labelled, "-study")},
		{exitUsage, "-epochs is 0", "", tune("-task", "classify", "-train", labelled, "-epochs", "0")},
		{exitUsage, "-batch is 0", "", tune("-task", "classify", "-train", labelled, "-batch", "0")},
		{exitUsage, "-max-seq is 65, want 5 to the model's 64 positions", "", tune("-task", "classify", "-train", labelled, "-max-seq", "65")},
	} {
		status, stdout, stderr := runHere(c.stdin, c.args...)
		if status != c.status || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("%v: exit status %d, output %q, error %q; want %d and one line with %q", c.args, status, stdout, stderr, c.status, c.want)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Errorf("a command that failed has left %s", out)
	}
}

// Fine-tuning, too, gives the same bits on any number of threads, with AVX-512,
// AVX2 and Go alone.
func TestOneAnswerOfFinetuning(t *testing.T) {
	model, _ := trained(t)
	questions := filepath.Join(t.TempDir(), "questions.json")
	check(t, os.WriteFile(questions, []byte(fewQuestions), 0o666))
	hashes := map[[32]byte][]string{}
	for _, setting := range []string{"GOMAXPROCS=1", workersWanted + "=3", "GODEBUG=cpu.avx512f=off", "GODEBUG=cpu.all=off"} {
		out := filepath.Join(t.TempDir(), "out")
		status, stdout, stderr := runProgram(t, []string{setting}, "", "finetune", "-model", model, "-task", "answer", "-train", questions, "-eval", questions,
			"-max-seq", "20", "-epochs", "3", "-out", out)
		if status != exitDone {
			t.Fatalf("%s: exit status %d: %s", setting, status, stderr)
		}
		data, err := os.ReadFile(filepath.Join(out, modelFile))
		check(t, err)
		hash := sha256.Sum256(append(data, stdout...))
		hashes[hash] = append(hashes[hash], setting)
	}
	if len(hashes) != 1 {
		t.Errorf("the models differ: %v", hashes)
	}
}
