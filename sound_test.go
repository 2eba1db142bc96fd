package main

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// saturated is the folder of a model for a task whose weights are finite, and whose numbers
// are not.
func saturated(t *testing.T, task string, labels ...string) string {
	t.Helper()
	dir, m := savedModel(t)
	_, tokenizer, _, err := LoadModel(dir)
	check(t, err)
	config := m.Config
	if task != preTraining {
		config.SetTask(task, labels)
	}
	m, err = NewModel(config, 1)
	check(t, err)
	for i := range m.encoder[0].output.norm.gain.Value {
		m.encoder[0].output.norm.gain.Value[i] = 1e30
	}
	dir = filepath.Join(t.TempDir(), "model")
	check(t, SaveModel(dir, m, tokenizer))
	return dir
}

// Where weights that are too large make numbers that are none, no command writes such, nor
// what would follow from them, but a line that says so; be it for people or for programs.
func TestOverflowIsSaid(t *testing.T) {
	text, examples := filepath.Join(t.TempDir(), "text.txt"), filepath.Join(t.TempDir(), "examples.jsonl")
	check(t, os.WriteFile(text, []byte("word5 word6\n"), 0o666))
	check(t, os.WriteFile(examples, []byte(`{"input_ids":[2,4,3],"token_type_ids":[0,0,0],"masked_lm_positions":[1],"masked_lm_ids":[7],"next_sentence_label":0}`), 0o666))
	before := saturated(t, preTraining)
	for _, args := range [][]string{
		{"fill", "-model", before, "word5 [MASK]"},
		{"next", "-model", before, "word5", "word6"},
		{"embed", "-model", before, "word5"},
		{"eval", "-model", before, "-examples", examples},
		{"explain", "-model", before, "word5 word6"},
		{"explain", "-model", before, "word5 [MASK]", "word6"},
		{"classify", "-model", saturated(t, oneLabel, "a", "b"), "word5"},
		{"classify", "-model", saturated(t, severalLabels, "a", "b"), "word5"},
		{"classify", "-model", saturated(t, aNumber, "a"), "word5"},
		{"tag", "-model", saturated(t, tagging, "O", "B-X"), "word5 word6"},
		{"answer", "-model", saturated(t, answering), "-context", text, "word5"},
	} {
		for _, more := range []string{"", "-json"} {
			if more != "" && args[0] == "explain" {
				continue
			}
			all := append([]string{args[0]}, append(strings.Fields(more), args[1:]...)...)
			status, stdout, stderr := runHere("", all...)
			if status != exitFailed || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "the numbers of the model (-model) overflow: a result is") {
				t.Errorf("%v: exit status %d, %q, %q", all, status, stdout, stderr)
			}
		}
	}
}

// A moment that is no number, and a second one below 0, which no mean of squares is, are
// refused by their file.
func TestMomentsAreSound(t *testing.T) {
	m := smallModel(t)
	name := filepath.Join(t.TempDir(), optimizerFile)
	for _, c := range []struct {
		at    int // of the tensors, from the end
		value float32
		want  string
	}{{1, 0.5, ""}, {1, float32(math.NaN()), "number 0 is NaN"}, {1, -1e-9, "a second moment is -1e-09, want 0 or more"}, {len(m.List) + 1, float32(math.Inf(1)), "number 0 is +Inf"}, {len(m.List) + 1, -1, ""}} {
		moments := NewAdamW(&m.Parameters, &Settings{}).Moments(&m.Parameters)
		moments[len(moments)-c.at].Value[0] = c.value
		check(t, writeFile(name, func(w io.Writer) error { return WriteSafetensors(w, moments) }))
		_, err := loadOptimizer(name, &m.Parameters)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name)) {
			t.Errorf("with %v the error is %v, want %q", c.value, err, c.want)
		}
	}
}

// Other special tokens, and another order of them in a sequence, are refused by name; fewer
// words than the model has room for are said; a folder is no file.
func TestOtherTokenizers(t *testing.T) {
	change := func(file string, change func(fields map[string]any)) func(dir string) {
		return func(dir string) {
			changeFile(t, dir, file, func(text string) string {
				fields := map[string]any{}
				if text != "" {
					check(t, json.Unmarshal([]byte(text), &fields))
				}
				change(fields)
				data, err := json.Marshal(fields)
				check(t, err)
				return string(data)
			})
		}
	}
	for _, c := range []struct {
		want   string
		change func(dir string)
	}{
		{`special_tokens_map.json: the token [MASK] is called "<mask>" there`, func(dir string) {
			check(t, os.WriteFile(filepath.Join(dir, "special_tokens_map.json"), []byte(`{"mask_token":{"content":"<mask>"}}`), 0o666))
		}},
		{"the post_processor's single is null, want [", change(tokenizerFile, func(f map[string]any) { delete(f["post_processor"].(map[string]any), "single") })},
		{`the post_processor's pair is [{"SpecialToken":{"id":"[CLS]","type_id":1`, change(tokenizerFile, func(f map[string]any) {
			pair := f["post_processor"].(map[string]any)["pair"].([]any)
			pair[0].(map[string]any)["SpecialToken"].(map[string]any)["type_id"] = 1
		})},
		{"tokenizer.json is a folder", func(dir string) {
			check(t, os.Remove(filepath.Join(dir, tokenizerFile)))
			check(t, os.Mkdir(filepath.Join(dir, tokenizerFile), 0o777))
		}},
		{"vocab.txt is a folder", func(dir string) {
			check(t, os.Remove(filepath.Join(dir, vocabFile)))
			check(t, os.Mkdir(filepath.Join(dir, vocabFile), 0o777))
		}},
		{"tokenizer.json: there is more after its end, at byte", func(dir string) { changeFile(t, dir, tokenizerFile, func(text string) string { return text + "{}" }) }},
		{"", func(dir string) {
			changeFile(t, dir, tokenizerFile, func(text string) string { return text + " \n\n" })
		}},
		{"the vocabulary has 36 words, the model room for 37: the rest is never guessed", func(dir string) {
			check(t, os.Remove(filepath.Join(dir, tokenizerFile)))
			changeFile(t, dir, vocabFile, func(text string) string { return strings.Replace(text, "word36\n", "", 1) })
		}},
	} {
		dir, _ := savedModel(t)
		c.change(dir)
		status, _, stderr := runHere("", "fill", "-model", dir, "[MASK]")
		isError := c.want != "" && !strings.Contains(c.want, "room for")
		if (status == exitFailed) != isError || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != min(len(c.want), 1) {
			t.Errorf("exit status %d, %q, want %q", status, stderr, c.want)
		}
	}
}

// A list of JSON objects is read to its end, and nothing may follow it.
func TestListsOfObjects(t *testing.T) {
	for text, want := range map[string]string{
		`{"label":"a","text":"x"} {"label":"b","text":"y"}`:     "",
		`[{"label":"a","text":"x"},{"label":"b","text":"y"}]`:   "",
		"[{\"label\":\"a\",\"text\":\"x\"}]\n \n":               "",
		`[{"label":"a","text":"x"}`:                             "after object 1: unexpected EOF",
		`[{"label":"a","text":"x"},`:                            "object 2: unexpected EOF",
		`[{"label":"a","text":"x"}] x`:                          "there is more after its end, at byte",
		`[{"label":"a","text":"x"}] [{"label":"a","text":"x"}]`: "there is more after its end",
		`{"label":"a","text":"x"}]`:                             "there is more after its end",
		`[{"label":"a","text":"x"}}`:                            "after object 1: invalid character",
		`{"label":"a","text":"x"} "and"`:                        "object 2: it has and, want an object",
		`[[{"label":"a","text":"x"}]]`:                          "object 1: it has [, want an object",
	} {
		rows, err := ReadRows(bytes.NewReader([]byte(text)), "json")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && len(rows) < 2 {
			t.Errorf("%s: %d rows, the error is %v, want %q", text, len(rows), err, want)
		}
	}
}
